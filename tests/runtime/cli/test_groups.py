"""Control groups in `cardan status`."""

from __future__ import annotations

from cardan.runtime.cli.groups import Taken, group_lines, taken
from cardan.runtime.cli.snapshot import take_snapshot
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeVitals, Vitals


def give_group(vitals: Vitals, name: str, memory_max_kib: int) -> None:
    words = vitals.nodes[name].words
    words[NodeVitals.HAS_GROUP], words[NodeVitals.MEMORY_MAX_KIB] = 1, memory_max_kib
    words[NodeVitals.MEMORY_PEAK_KIB], words[NodeVitals.CPU_US] = 81 * 1024, 1_250_000


def test_a_run_says_where_its_groups_are_and_how_near_its_nodes_came_to_their_limits(
    plan: Plan, driven: Vitals, clock: FakeClock
) -> None:
    driven.set_groups_text("one for each node in /sys/fs/cgroup/x")
    give_group(driven, "camera", 256 * 1024)
    give_group(driven, "control", 0)
    shot = take_snapshot(plan, driven, clock.now_ns())
    assert [line.text for line in group_lines(shot)] == [
        "",
        "control groups: one for each node in /sys/fs/cgroup/x",
        "  camera: at most 81 of 256 MiB",
    ]
    assert taken(shot) == {
        "camera": Taken(cpu_s=1.25, memory_peak_mib=81.0, memory_max_mib=256.0),
        "control": Taken(cpu_s=1.25, memory_peak_mib=81.0, memory_max_mib=None),
    }


def test_a_run_without_groups_says_why_and_one_of_an_earlier_release_says_nothing(
    plan: Plan, driven: Vitals, clock: FakeClock
) -> None:
    assert group_lines(take_snapshot(plan, driven, clock.now_ns())) == []
    driven.set_groups_text("none: no cgroup v2 is mounted")
    shot = take_snapshot(plan, driven, clock.now_ns())
    assert [line.text for line in group_lines(shot)] == ["", "control groups: none: no cgroup v2 is mounted"]
    assert taken(shot) == {}
