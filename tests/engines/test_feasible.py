from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from cardan.engines.feasible import Load, judge


def load(name: str, period: int, run: int, deadline: int | None = None) -> Load:
    return Load(name=name, period_ns=period, run_ns=run, deadline_ns=period if deadline is None else deadline)


def test_one_engine_has_its_deadline_less_its_run() -> None:
    assert judge([load("lane", 50, 5)]).slack_ns == {"lane": 45}


def test_a_long_run_that_has_just_begun_is_waited_for() -> None:
    verdict = judge([load("brake", 25, 3, 20), load("space", 100, 18)])
    assert verdict.slack_ns["brake"] == 20 - 3 - 18
    assert verdict.late == ["brake"]


def test_what_makes_room_cannot_be_interrupted_either() -> None:
    assert judge([load("brake", 25, 3, 20)], blockers=[load("space", 100, 16)]).slack_ns == {"brake": 1}


def test_a_staged_run_is_waited_for_as_well() -> None:
    blockers = [load("space", 100, 9), load("side", 100, 7)]
    assert judge([load("brake", 25, 3, 20)], blockers, staged=1).slack_ns == {"brake": 1}


def test_more_than_the_accelerator_has_has_no_bound() -> None:
    verdict = judge([load("a", 10, 6), load("b", 10, 6)])
    assert verdict.slack_ns == {"a": None, "b": None}
    assert verdict.late == ["a", "b"]
    assert verdict.share == pytest.approx(1.2)


def test_a_deadline_that_passes_before_the_frame_arrives_is_late() -> None:
    assert judge([load("a", 10, 1, -5)]).late == ["a"]


ENGINES = some.lists(
    some.tuples(some.integers(4, 30), some.integers(1, 8), some.integers(3, 40)), min_size=1, max_size=4
)


@given(ENGINES, some.lists(some.integers(0, 40), min_size=4, max_size=4))
@settings(max_examples=100)
def test_what_is_found_to_fit_is_never_late(engines: list[tuple[int, int, int]], phases: list[int]) -> None:
    loads = [load(str(at), *item) for at, item in enumerate(engines)]
    assume(judge(loads).late == [])
    frames = sorted(
        (phase + count * one.period_ns, phase + count * one.period_ns + one.deadline_ns, one.run_ns)
        for one, phase in zip(loads, phases, strict=False)
        for count in range(40)
    )
    now = 0
    waiting: list[tuple[int, int, int]] = []
    while frames or waiting:
        while frames and frames[0][0] <= now:
            waiting.append(frames.pop(0))
        if not waiting:
            now = frames[0][0]
            continue
        first = min(waiting, key=lambda frame: frame[1])
        waiting.remove(first)
        now += first[2]
        assert now <= first[1]
