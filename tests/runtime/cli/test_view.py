"""The live view fits the terminal and says what matters first."""

from __future__ import annotations

import pytest
from msgspec import structs

from cardan.runtime.cli.lines import Line
from cardan.runtime.cli.snapshot import Snapshot, take_snapshot
from cardan.runtime.cli.view import Scene, headline, progress, render
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, SeriesKind, SeriesVitals, Vitals


@pytest.fixture
def scene(plan: Plan, driven: Vitals, clock: FakeClock) -> Scene:
    now = take_snapshot(plan, driven, clock.now_ns())
    return Scene(
        plan=plan,
        now=now,
        before=a_second_ago(now),
        engagement="enabled",
        armed_after_s=1.924,
        ends_after_s=30.0,
        recording="/var/lib/cardan/recordings/20261121-081500-ab12.mcap",
        recording_bytes=12_345_678,
    )


def a_second_ago(now: Snapshot) -> Snapshot:
    nodes = []
    for node in now.nodes:
        series = [structs.replace(item, count=item.count - item.count // 10) for item in node.series]
        nodes.append(structs.replace(node, steps=node.steps - 100, series=series))
    return structs.replace(now, taken_ns=now.taken_ns - 1_000_000_000, nodes=nodes)


EXPECTED = """\
small on bench                                                  10.0 s of 30.0 s
ok
enabled   armed after 1.92 s   safe stops 0
photon to CAN  p50 34.6 ms   p99 39.0 ms   max 39.0 ms   lost 0   dropped 0
NODE          STATE            RATE    AGE  STEP p99  JITTER p99  MISSED  STARTS
camera        running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
control       running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
bridge        running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
recorder      running      100.0 Hz   5 ms   0.43 ms     0.06 ms       0       1
TOPIC                    RATE     AGE    TOPIC                    RATE     AGE
camera/frame          20.0 Hz   10 ms    control/command      100.0 Hz   10 ms
bridge/verdict       100.0 Hz   10 ms    bridge/sent          100.0 Hz   10 ms
recording  /var/lib/cardan/recordings/20261121-081500-ab12.mcap  12.3 MB
Ctrl-C ends the run"""


def text(lines: list[Line]) -> str:
    return "\n".join(line.text.rstrip() for line in lines)


def test_the_screen_of_a_healthy_drive(scene: Scene) -> None:
    assert text(render(scene)) == EXPECTED


@pytest.mark.parametrize("columns", [20, 40, 79, 80, 132, 300])
@pytest.mark.parametrize("rows", [5, 10, 24, 60])
def test_no_line_is_wider_and_no_picture_taller_than_the_terminal(scene: Scene, columns: int, rows: int) -> None:
    lines = render(scene, columns, rows)
    assert len(lines) <= rows
    assert max(len(line.text) for line in lines) <= columns
    assert not any("\n" in line.text for line in lines)


def test_what_does_not_fit_is_named(scene: Scene) -> None:
    assert "… 2 more nodes" in text(render(scene, 80, 12))


def test_a_cause_stands_in_the_second_line_in_red(scene: Scene, driven: Vitals, clock: FakeClock) -> None:
    driven.nodes["camera"].report_fault(clock.now_ns(), "node-error", "no frame for 0.5 s\x1b[2J")
    now = take_snapshot(scene.plan, driven, clock.now_ns())
    lines = render(structs.replace(scene, now=now))
    assert lines[1] == Line("camera: no frame for 0.5 s [2J (node-error)", "bad")


def test_a_node_that_backs_off_is_named_before_any_cause_is_known(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.nodes["control"].words[NodeVitals.STATE] = NodeState.BACKING_OFF
    assert headline(take_snapshot(plan, driven, clock.now_ns())) == ("control is backing-off", "bad")


def test_while_starting_the_ready_nodes_are_counted(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.words[Vitals.RUN_STATE] = RunState.STARTING
    driven.nodes["control"].words[NodeVitals.STATE] = NodeState.STARTING
    assert headline(take_snapshot(plan, driven, clock.now_ns())) == ("starting: 3 of 4 nodes ready", "warning")


def test_a_topic_with_losses_is_marked(scene: Scene, driven: Vitals, clock: FakeClock) -> None:
    series = driven.nodes["recorder"].find(SeriesKind.INPUT, "everything", "camera/frame")
    assert series is not None
    series.words[SeriesVitals.LOST] = 1
    lines = render(structs.replace(scene, now=take_snapshot(scene.plan, driven, clock.now_ns())))
    assert any(line.text.startswith("camera/frame!") and line.role == "warning" for line in lines)


def test_a_line_of_progress_for_logs(scene: Scene) -> None:
    assert progress(scene) == "10.0 s  ok  enabled  photon to CAN p99 39.0 ms  0 lost"


def test_a_mode_is_the_verdict_while_no_cause_is_known(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    driven.nodes["control"].words[NodeVitals.STATE] = NodeState.BACKING_OFF
    driven.set_mode(clock.now_ns(), "degraded:control", "control is restarting")
    shot = take_snapshot(plan, driven, clock.now_ns())
    assert headline(shot) == ("degraded:control: control is restarting", "bad")


def test_beside_a_cause_the_mode_has_a_line_of_its_own(scene: Scene, driven: Vitals, clock: FakeClock) -> None:
    driven.report_cause(clock.now_ns(), "camera failed", "node-gave-up")
    driven.set_mode(clock.now_ns() - 2_000_000_000, "safe-stop", "camera is lost: no pictures")
    lines = render(structs.replace(scene, now=take_snapshot(scene.plan, driven, clock.now_ns())))
    assert lines[1] == Line("camera failed", "bad")
    assert lines[2] == Line("mode  safe-stop for 2.0 s: camera is lost: no pictures", "bad")
