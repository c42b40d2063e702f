"""One run at a time, and the next one filled and started before anybody looks at the outputs of the last."""

from __future__ import annotations

from typing import Any, cast

import pytest

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.loaded import Loaded
from cardan.engines.pipeline import Pipeline
from cardan.engines.schedule import Demand, Drop, Scheduler
from cardan.engines.watchdog import Watchdog
from cardan.runtime.clock import FakeClock

MS = 1_000_000


class Lane:
    """An engine whose network writes down what is done with it, and takes 5 ms in `finish`."""

    def __init__(self, name: str, log: list[str], clock: FakeClock) -> None:
        self.name = name
        self.log = log
        self.clock = clock
        self.frame_problem: str | None = None
        self.error: BackendError | None = None

    @property
    def loaded(self) -> Loaded:
        return cast(Loaded, self)

    @property
    def session(self) -> Any:
        return self

    def fill(self) -> str | None:
        self.log.append(f"fill {self.name}")
        return self.frame_problem

    def start(self) -> None:
        self.log.append(f"start {self.name}")

    def finish(self) -> None:
        self.log.append(f"finish {self.name}")
        self.clock.advance_ns(5 * MS)
        if self.error is not None:
            raise self.error

    def problem_or_none(self) -> str | None:
        self.log.append(f"look at {self.name}")
        return None


class Rig:
    """A pipeline with engines a, b and c."""

    def __init__(self, in_flight: int) -> None:
        self.clock = FakeClock()
        self.log: list[str] = []
        self.lost: list[str] = []
        self.lanes = {name: Lane(name, self.log, self.clock) for name in "abc"}
        demands = [Demand(name=name, deadline_ns=(50 + at) * MS, expected_ns=5 * MS) for at, name in enumerate("abc")]
        self.scheduler = Scheduler(demands, in_flight=in_flight)
        watchdog = Watchdog(self.clock, lambda engine, taken_ms: None)
        self.pipeline = Pipeline(self.scheduler, self.lanes, self.clock, watchdog, self.lost.append)

    def release(self, names: str) -> None:
        for name in names:
            self.scheduler.release(name, self.clock.now_ns())


def test_where_runs_block_each_job_is_done_before_the_next_is_read() -> None:
    rig = Rig(in_flight=1)
    rig.release("ab")
    outcomes = rig.pipeline.step() + rig.pipeline.step()
    assert rig.log == ["fill a", "start a", "finish a", "look at a", "fill b", "start b", "finish b", "look at b"]
    assert [(outcome.job.engine, outcome.end_ns - outcome.start_ns) for outcome in outcomes] == [
        ("a", 5 * MS),
        ("b", 5 * MS),
    ]
    assert not rig.pipeline.busy


def test_where_they_do_not_the_next_is_started_before_the_outputs_are_looked_at() -> None:
    rig = Rig(in_flight=2)
    rig.release("abc")
    assert [outcome.job.engine for outcome in rig.pipeline.step()] == ["a"]
    assert rig.log == ["fill a", "start a", "fill b", "finish a", "start b", "look at a"]
    assert rig.pipeline.busy
    rig.log.clear()
    assert [outcome.job.engine for outcome in rig.pipeline.step()] == ["b"]
    assert rig.log == ["fill c", "finish b", "start c", "look at b"]


def test_an_engine_is_never_filled_while_it_runs() -> None:
    rig = Rig(in_flight=2)
    rig.release("a")
    rig.pipeline.step()
    rig.release("ab")
    rig.pipeline.step()  # a runs, b is staged and started
    rig.release("b")
    rig.log.clear()
    rig.pipeline.step()
    assert "fill b" not in rig.log[: rig.log.index("finish b")]


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_frame_that_is_gone_makes_room_for_the_next_job(in_flight: int) -> None:
    rig = Rig(in_flight)
    rig.lanes["a"].frame_problem = "overwritten"
    rig.release("ab")
    outcomes = rig.pipeline.step()
    assert [(outcome.job.engine, outcome.problem, outcome.start_ns == 0) for outcome in outcomes] == [
        ("a", "overwritten", True),
        ("b", None, False),
    ]
    assert rig.scheduler.account("a").dropped[Drop.LOST] == 1


def test_a_run_that_fails_is_a_problem_of_its_job() -> None:
    rig = Rig(in_flight=1)
    rig.lanes["a"].error = BackendError("out of memory")
    rig.release("a")
    assert [outcome.problem for outcome in rig.pipeline.step()] == ["out of memory"]
    assert rig.lost == []


def test_a_lost_accelerator_is_told_at_once() -> None:
    rig = Rig(in_flight=1)
    rig.lanes["a"].error = StickyError("illegal access")
    rig.release("a")
    rig.pipeline.step()
    assert rig.lost == ["illegal access"]
