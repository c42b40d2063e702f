from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.bus.step_rings import create_note_rings, notes_path
from cardan.runtime.clock import NotingClock
from cardan.runtime.messages import CanFrames, VehicleState, type_name
from cardan.runtime.node.step_notes import MOST_READS, OPENED, StepNoter, StepNotes
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.record.step_tap import StepTap
from cardan.runtime.replay.by_steps import ReplayClock, _is_whole
from cardan.runtime.vitals import NodeVitals, SeriesKind, SeriesVitals, create_vitals

NODE = NodePlan(
    name="n",
    index=0,
    use="",
    notes_steps=True,
    inputs=[InputPlan(port="a", topics=["x/a"]), InputPlan(port="again", topics=["x/a"])],
    outputs=[OutputPlan(port="o", topic="n/o", type=type_name(VehicleState))],
)
PLAN = Plan(
    name="p",
    manifest="",
    manifest_sha256="",
    profile=Profile(name="test"),
    envelope={},
    envelope_hash="",
    nodes=[
        NODE,
        NodePlan(name="x", index=1, use="", outputs=[OutputPlan(port="a", topic="x/a", type=type_name(CanFrames))]),
    ],
)


@pytest.fixture
def vitals(tmp_path: Path) -> NodeVitals:
    create_note_rings(PLAN, tmp_path)
    return create_vitals(tmp_path / "vitals", PLAN, now_ns=0, wall_ns=0).nodes["n"]


def test_a_step_is_noted_with_what_it_had_read_and_each_look_at_the_clock(tmp_path: Path, vitals: NodeVitals) -> None:
    clock = NotingClock()
    noter = StepNoter(notes_path(tmp_path, "n"), NODE, vitals, clock, epoch=3)
    tap = StepTap(PLAN, tmp_path, from_start=True)
    noter.ended(clock.now_ns())
    clock.now_ns()
    noter.begins()
    series = vitals.find(SeriesKind.INPUT, "a", "x/a")
    assert series is not None
    series.words[SeriesVitals.LAST_EPOCH], series.words[SeriesVitals.LAST_SEQ] = 2, 77
    start_ns = clock.now_ns()
    noter.begins()
    reads = [clock.now_ns(), clock.now_ns()]
    noter.ended(start_ns)
    opened, step = tap.take()
    assert (opened.topic, opened.epoch, opened.value.number, opened.value.taken) == ("n/_step", 3, OPENED, [(0, 0)])
    assert step.value == StepNotes(
        number=0, start_ns=start_ns, taken=[(2, 77)], reads_ns=[read - start_ns for read in reads]
    )
    assert tap.take() == []
    tap.close()
    noter.close()


def test_a_step_that_looks_at_its_clock_all_the_time_is_noted_without_that(tmp_path: Path, vitals: NodeVitals) -> None:
    clock = NotingClock()
    noter = StepNoter(notes_path(tmp_path, "n"), NODE, vitals, clock, epoch=1)
    for _ in range(MOST_READS + 1):
        clock.now_ns()
    noter.ended(5)
    tap = StepTap(PLAN, tmp_path, from_start=True)
    (sample,) = tap.take()
    assert not sample.value.whole and sample.value.reads_ns == []
    tap.close()
    noter.close()


def test_a_recorder_that_starts_again_takes_no_notes_twice(tmp_path: Path, vitals: NodeVitals) -> None:
    noter = StepNoter(notes_path(tmp_path, "n"), NODE, vitals, NotingClock(), epoch=1)
    noter.ended(1)
    tap = StepTap(PLAN, tmp_path, from_start=False)
    noter.ended(2)
    assert [sample.value.start_ns for sample in tap.take()] == [2]
    tap.close()
    noter.close()


def test_a_clock_in_a_replay_says_what_was_said_and_then_stands_still() -> None:
    clock = ReplayClock(1000)
    clock.play(100, [1, 5])
    assert [clock.now_ns() for _ in range(3)] == [101, 105, 105]
    clock.play(200)
    assert (clock.now_ns(), clock.wall_ns()) == (200, 1200)


def notes(*numbers: int) -> list[tuple[int, StepNotes]]:
    return [(1, StepNotes(number=number, start_ns=1, taken=[], reads_ns=[])) for number in numbers]


def test_notes_are_whole_when_they_begin_with_open_and_none_is_missing() -> None:
    assert _is_whole(notes(OPENED, 0, 1, OPENED, 0))
    assert not _is_whole(notes(OPENED, 0, 2))
    assert not _is_whole(notes(0, 1))
    assert not _is_whole([])
