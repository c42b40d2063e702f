from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardan.runtime.errors import ManifestError, ProfileError
from cardan.runtime.graph import check, load_plan
from cardan.runtime.limits import envelope_hash
from cardan.runtime.plan import Plan, read_plan, write_plan

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
EXAMPLES = MANIFESTS.parent.parent / "examples"
BROKEN = sorted(MANIFESTS.glob("[0-9]*_*.toml"))
WHOLE = MANIFESTS / "whole.toml"
VALUES = (
    "1",
    "-1",
    "nan",
    '"x"',
    '""',
    "[]",
    "{}",
    '["*"]',
    "true",
    "1979-05-27",
    '{ frame = "camera/frame" }',
    "[[[]]]",
)
MUTATIONS = (
    *(f"KEY = {value}" for value in VALUES),
    *(
        "",
        "KEY",
        "[KEY]",
        "[[nodes]]",
        "[nodes]",
        "[nodes.x]",
        "[envelope]",
        "[envelope.x]",
        "nodes = 1",
        "envelope = []",
    ),
    *('use = "nodes:Plain"', 'use = "nodes:Echo"', 'use = "x"', "config = { a = { b = 1 } }", "schema = true", '"""'),
)
"""What a line of a manifest may turn into; KEY is the key that it had."""


@pytest.fixture(autouse=True)
def same_import_path() -> Iterator[None]:
    """A check puts the manifest's folder on the import path; each test starts without it."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith("cardan"):
            del sys.modules[name]


@pytest.mark.parametrize("manifest", BROKEN, ids=lambda path: path.stem)
def test_a_broken_manifest_gives_one_finding_with_file_line_and_remedy(manifest: Path) -> None:
    expected = re.fullmatch(r"# expect: (\d+): ([^:]+): (.+)", manifest.read_text().splitlines()[0])
    assert expected is not None
    checked = check(str(manifest))
    assert checked.plan is None
    assert [str(finding) for finding in checked.findings] == [str(checked.findings[0])]
    finding = checked.findings[0]
    assert (finding.file, finding.path, finding.line) == (str(manifest), expected.group(2), int(expected.group(1)))
    assert expected.group(3) in str(finding)
    assert finding.what and finding.remedy
    assert "\n" not in str(finding)


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in EXAMPLES.glob("*/vehicle.toml")), ids=lambda p: p.name
)
def test_every_example_is_in_order(folder: Path) -> None:
    assert [str(finding) for finding in check(str(folder)).findings] == []


def plan_of(folder: Path, text: str) -> Plan:
    path = folder / "vehicle.toml"
    path.write_text(f'schema = 1\nname = "test"\n{text}')
    (folder / "nodes.py").write_text((MANIFESTS / "nodes.py").read_text())
    return load_plan(str(folder))


def findings_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(ManifestError) as error:
        plan_of(folder, text)
    return error.value.message.splitlines()


def test_a_plan_resolves_everything_that_the_manifest_leaves_open() -> None:
    plan = load_plan(str(WHOLE))
    assert Path(plan.manifest) == WHOLE
    assert plan.manifest_sha256 == hashlib.sha256((WHOLE).read_bytes()).hexdigest()
    assert plan.envelope_hash == envelope_hash(plan.envelope)
    assert (plan.profile.name, plan.stop_when) == ("two-cores", "camera")
    control = plan.node("control")
    assert (control.use, control.sys_path) == ("nodes:Control", [str(MANIFESTS)])
    assert (control.rate_hz, control.stepped_by, control.step_budget_s) == (100.0, None, 0.002)
    assert (control.realtime, control.critical, control.core_group, control.cores) == (True, True, "control", [0])
    assert [(item.port, item.topics, item.max_age_s) for item in control.inputs] == [
        ("view", ["road/view"], 0.2),
        ("state", [], 0.05),
    ]
    assert [(metric.name, metric.unit) for metric in control.metrics] == [("error", "m")]
    assert plan.node("camera").config == {"width": 320}
    assert plan.node("bridge").channels == ["vehicle"]
    assert (plan.node("road").rate_hz, plan.node("road").stepped_by) == (None, "frame")


def test_a_star_reads_every_topic_of_the_others_and_each_topic_knows_how_many_nodes_read_it() -> None:
    plan = load_plan(str(WHOLE))
    assert plan.node("recorder").inputs[0].topics == ["control/command", "bridge/sent", "camera/frame", "road/view"]
    readers = {topic: output.subscribers for topic, output in plan.topics().items()}
    assert readers == {"camera/frame": 2, "road/view": 2, "control/command": 2, "bridge/sent": 1}
    assert plan.topics()["road/view"].type == "cardan.runtime.messages:RoadView"


def test_publishers_start_before_their_readers() -> None:
    plan = load_plan(str(WHOLE))
    assert [node.name for node in plan.nodes] == ["camera", "road", "control", "bridge", "recorder"]
    assert [node.index for node in plan.nodes] == [0, 1, 2, 3, 4]


def test_nodes_that_read_each_other_start_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "".join(
        f'[nodes.{name}]\nuse = "nodes:Recorder2"\ninputs = {{ everything = ["{other}/out"] }}\n'
        for name, other in (("b", "a"), ("a", "b"))
    )
    (tmp_path / "more.py").write_text(
        "from nodes import *\nclass Recorder2(Recorder):\n    out = Output(CanFrames)\n", encoding="utf-8"
    )
    plan = plan_of(tmp_path, text.replace("nodes:", "more:"))
    assert [node.name for node in plan.nodes] == ["b", "a"]


def test_a_manifest_may_set_the_rate_that_the_class_only_suggests(tmp_path: Path) -> None:
    assert plan_of(tmp_path, '[nodes.a]\nuse = "nodes:Camera"\nrate_hz = 5\n').node("a").rate_hz == 5.0


def test_a_node_that_cannot_be_looked_into_is_the_only_one_that_is_blamed(tmp_path: Path) -> None:
    text = (
        '[nodes.camera]\nuse = "nodes:Camra"\n[nodes.road]\nuse = "nodes:Engine"\ninputs = { frame = "camera/frame" }\n'
    )
    (finding,) = findings_of(tmp_path, text)
    assert "nodes.camera.use" in finding


def test_two_mistakes_are_two_findings_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = '[nodes.road]\nuse = "nodes:Engine"\ninputs = { frame = "camra/frame" }\n'
    text += '[nodes.camera]\nuse = "nodes:Camera"\ncore = "x"\n'
    found = findings_of(tmp_path, text)
    assert [finding.split(": ")[1] for finding in found] == ["nodes.road.inputs.frame", "nodes.camera.core"]


def test_another_profile_may_be_named_in_place_of_the_manifests(tmp_path: Path) -> None:
    (tmp_path / "bare.toml").write_text('schema = 1\nname = "bare"\n')
    (tmp_path / "big.toml").write_text(
        'schema = 1\nname = "big"\n[cores]\ncontrol = [6, 7]\nrest = "all"\n[can.vehicle]\n'
    )
    assert load_plan(str(WHOLE), str(tmp_path / "big.toml")).node("control").cores == [6]
    findings = check(str(WHOLE), str(tmp_path / "bare.toml")).findings
    assert {finding.path for finding in findings} >= {"nodes.control.core", "nodes.bridge.channels"}
    with pytest.raises(ProfileError, match='did you mean "bench"'):
        check(str(WHOLE), "bnch")


def test_a_broken_profile_is_reported_in_its_own_file_and_nothing_is_checked_against_it(tmp_path: Path) -> None:
    (tmp_path / "pc.toml").write_text('schema = 1\nname = "pc"\n[cores]\na = "some"\n')
    text = 'profile = "pc.toml"\n[nodes.a]\nuse = "nodes:Camera"\ncore = "b"\n'
    (finding,) = findings_of(tmp_path, text)
    assert finding.startswith(f"{tmp_path / 'pc.toml'}:4: cores.a: ")


def test_a_class_that_breaks_the_rules_of_nodes_is_a_finding_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from cardan.runtime.node import Node\nclass Odd(Node):\n    rate_hz = 1.0\n    config: dict\n"
    )
    (finding,) = findings_of(tmp_path, '[nodes.a]\nuse = "odd:Odd"\n')
    assert "annotate a NodeConfig subclass" in finding


def test_the_plan_survives_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    plan = load_plan(str(WHOLE))
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(MUTATIONS)), min_size=1, max_size=3))
def test_no_change_to_a_manifest_ever_gives_a_traceback(changes: list[tuple[int, str]]) -> None:
    lines = WHOLE.read_text().splitlines()
    for place, text in changes:
        line = place % len(lines)
        lines[line] = text.replace("KEY", lines[line].partition("=")[0].strip() or "x")
    broken = WHOLE.with_name(f"mutated_{os.getpid()}.toml")
    broken.write_text("\n".join(lines))
    try:
        checked = check(str(broken))
    finally:
        broken.unlink()
    assert (checked.plan is None) == bool(checked.findings)
    assert all(1 <= finding.line <= len(lines) and finding.remedy for finding in checked.findings)
