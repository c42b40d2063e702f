"""Control groups: limits on files that look like the kernel's, and the kernel's own where this computer lets us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.supervise.delegation import Delegation, find_delegation
from cardan.runtime.supervise.groups import Limits, NodeGroup, RunGroups, StartGroup, Usage, enter_groups
from cardan.runtime.supervise.node_group import WatchedGroup, enable_limits
from cardan.runtime.vitals import NodeVitals, Vitals, create_vitals

if TYPE_CHECKING:
    from tests.runtime.supervise.conftest import Up

CAMERA = NodePlan(name="camera", index=0, use="m:E", memory_max_mib=64.0, cpu_weight=50)
MIB = 1024 * 1024


def plan_of(*nodes: NodePlan) -> Plan:
    return Plan(
        name="test",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="test"),
        envelope={},
        envelope_hash="",
        nodes=list(nodes),
    )


def files(folder: Path, **content: str) -> Path:
    """A group as the kernel shows it; dots in names are written as two underscores."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.fixture
def group(tmp_path: Path) -> NodeGroup:
    """A group with both controllers."""
    folder = files(
        tmp_path / "node-camera",
        memory__max="max\n",
        memory__oom__group="0\n",
        memory__peak="52428800\n",
        memory__events="low 0\nmax 3\noom 1\noom_kill 2\n",
        cpu__weight="100\n",
        cpu__stat="usage_usec 1500000\nuser_usec 1\n",
    )
    return NodeGroup(folder)


@pytest.fixture
def vitals(tmp_path: Path) -> Iterator[Vitals]:
    page = create_vitals(tmp_path / "vitals", plan_of(CAMERA), now_ns=1, wall_ns=1)
    yield page
    page.close()


def test_limits_are_written_and_read_back(group: NodeGroup) -> None:
    assert group.limit(Limits()) == Limits(0, 100)
    assert group.limit(Limits(64 * MIB, 50)) == Limits(64 * MIB, 50)
    assert (group.folder / "memory.oom.group").read_text()[:1] == "1"


def test_without_controllers_no_limit_holds(tmp_path: Path) -> None:
    group = NodeGroup(files(tmp_path / "node-camera", cpu__stat="usage_usec 7\n"))
    assert group.limit(Limits(64 * MIB, 50)) == Limits(0, 0)
    assert group.usage() == Usage(memory_peak_bytes=0, cpu_us=7, killed=0)
    assert not (group.folder / "memory.max").exists()


def test_the_vitals_show_limits_and_what_was_taken(group: NodeGroup, vitals: Vitals) -> None:
    words = vitals.nodes["camera"].words
    watched = WatchedGroup(group, CAMERA, vitals.nodes["camera"])
    assert (words[NodeVitals.HAS_GROUP], words[NodeVitals.MEMORY_MAX_KIB], words[NodeVitals.CPU_WEIGHT]) == (
        1,
        64 * 1024,
        50,
    )
    assert watched.take_stock() == 2
    assert watched.take_stock() == 0  # those two were told already
    assert (words[NodeVitals.MEMORY_PEAK_KIB], words[NodeVitals.CPU_US]) == (50 * 1024, 1_500_000)


def test_stock_is_taken_every_five_seconds(group: NodeGroup, vitals: Vitals) -> None:
    watched, words = WatchedGroup(group, CAMERA, vitals.nodes["camera"]), vitals.nodes["camera"].words
    watched.look(1_000_000_000)
    files(group.folder, cpu__stat="usage_usec 9000000\n")
    watched.look(5_900_000_000)
    assert words[NodeVitals.CPU_US] == 1_500_000
    watched.look(6_000_000_000)
    assert words[NodeVitals.CPU_US] == 9_000_000


def test_a_node_without_a_group_has_nothing_to_show(vitals: Vitals) -> None:
    watched = WatchedGroup(None, CAMERA, vitals.nodes["camera"])
    watched.look(1)
    assert watched.take_stock() == 0
    assert vitals.nodes["camera"].words[NodeVitals.HAS_GROUP] == 0


def test_controllers_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    files(tmp_path / "ours", cgroup__subtree_control="memory\n")
    files(tmp_path / "ours" / "cardan-r", cgroup__subtree_control="memory\n")
    groups = RunGroups(tmp_path / "ours", "r")
    plain, weighed = plan_of(NodePlan(name="a", index=0, use="m:A")), plan_of(CAMERA)
    assert enable_limits(plain, groups) == f"one for each node in {groups.folder}"  # nobody weighs, nobody needs cpu
    assert enable_limits(weighed, RunGroups(tmp_path / "none", "r")).endswith("; no limits of memory and cpu here")
    assert enable_limits(plain, "no cgroup v2 is mounted").startswith("none: no cgroup v2 is mounted; what a node")


# ------------------------------------------------------------------------------------ the control groups of this kernel


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Path]:
    """A control group of this test."""
    delegation = find_delegation()
    if delegation.folder is None:
        pytest.skip(delegation.why_not)
    folder = delegation.folder / f"test-{os.getpid()}-{tmp_path.name}"
    folder.mkdir()
    yield folder
    for inner, _, _ in os.walk(folder, topdown=False):
        os.rmdir(inner)


@contextmanager
def run_in(folder: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that joins a group, and says so; whatever is in the group in the end is killed."""
    start = f"open({str(folder / 'cgroup.procs')!r}, 'w').write('0')\nimport os, signal\n{code}\n"
    with subprocess.Popen([sys.executable, "-S", "-c", start], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()
            if folder.exists():
                StartGroup(folder).kill()


def members(folder: Path) -> list[str]:
    return (folder / "cgroup.procs").read_text().split()


ESCAPE = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("left parent, session and process group", flush=True)
        signal.pause()
    os._exit(0)
os.wait()
signal.pause()
"""


def test_nobody_escapes_the_end_of_a_group(ours: Path, up: Up) -> None:
    groups = RunGroups(ours, "r")
    (ours / "cardan-r").mkdir()
    start = groups.node("n").for_start(1)
    assert start is not None
    with run_in(start.folder, ESCAPE) as process:
        up.wait_until(lambda: len(members(start.folder)) == 2, 2.0)  # the one between them has gone
        start.kill()
        assert process.wait(5) == -signal.SIGKILL
    up.wait_until(lambda: "populated 0" in (start.folder / "cgroup.events").read_text(), 2.0)
    second = groups.node("n").for_start(2)
    assert second is not None
    assert [item.name for item in groups.node("n").folder.iterdir() if item.is_dir()] == ["2"]
    groups.remove()
    assert not (ours / "cardan-r").exists()


def test_what_a_dead_run_left_is_ended_and_removed_and_a_live_one_is_not(ours: Path, up: Up) -> None:
    dead, alive = RunGroups(ours, "dead"), RunGroups(ours, "alive")
    for groups in (dead, alive):
        (groups.folder / "supervisor").mkdir(parents=True)
        (groups.node("n").folder / "made-by-the-node").mkdir()
    idle = "print('here', flush=True)\nsignal.pause()"
    with run_in(alive.folder / "supervisor", idle) as guardian, run_in(dead.node("n").folder, idle) as left:
        RunGroups(ours, "new").sweep_dead()
        assert left.wait(5) == -signal.SIGKILL
        assert not dead.folder.exists()
        assert alive.folder.exists()
        guardian.kill()
    up.wait_until(lambda: not members(alive.folder / "supervisor"), 2.0)
    RunGroups(ours, "new").sweep_dead()
    assert not alive.folder.exists()


ENTER = """
import sys
from pathlib import Path
from cardan.runtime.supervise.delegation import Delegation, own_group
from cardan.runtime.supervise.groups import enter_groups

groups = enter_groups(Delegation(Path(sys.argv[1])), "r")
inside = own_group()
groups.node("n")
groups.leave()
print(inside.endswith("/cardan-r/supervisor"), own_group().endswith("cardan-r/supervisor"), groups.folder.exists())
"""


def test_a_guardian_enters_the_groups_of_its_run_and_leaves_nothing(ours: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENTER, str(ours)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_a_group_that_does_not_take_us_is_a_reason_and_no_error(tmp_path: Path) -> None:
    assert enter_groups(Delegation(None, "not handed over"), "r") == "not handed over"
    said = enter_groups(Delegation(tmp_path), "r")  # no kernel behind it: there is no cgroup.procs
    assert said == f"{tmp_path}: No such file or directory"
