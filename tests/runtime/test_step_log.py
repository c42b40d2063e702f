"""The newest steps of a node are read whole, whoever overtakes the reader."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.step_log import STEP_LOG_BYTES, STEPS_KEPT, Step, StepLog

PERIOD_NS = 10_000_000
STEP_NS = 1_000_000


class Stepper:
    """A node that takes steps of a millisecond every ten, and may go on doing so while it is being read."""

    def __init__(self, steps: int = 0) -> None:
        self.page = bytearray(STEP_LOG_BYTES)
        self.count = 0
        self.while_read: list[Callable[[], None]] = []
        self.log = StepLog(memoryview(self.page), 0, self._counted)
        self.run(steps)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.write()
            self.count += 1

    def write(self) -> None:
        start_ns = (self.count + 1) * PERIOD_NS
        self.log.note(self.count, start_ns, start_ns + STEP_NS)

    def _counted(self) -> int:
        count = self.count
        if self.while_read:
            self.while_read.pop()()
        return count


def step(number: int) -> Step:
    return Step(number, (number + 1) * PERIOD_NS, (number + 1) * PERIOD_NS + STEP_NS)


def test_every_step_is_kept_until_the_ring_is_full() -> None:
    assert Stepper().log.steps() == []
    assert Stepper(3).log.steps() == [step(0), step(1), step(2)]


def test_the_oldest_steps_make_room_for_new_ones() -> None:
    steps = Stepper(5 * STEPS_KEPT + 7).log.steps()
    assert steps[-1] == step(5 * STEPS_KEPT + 6)
    assert steps[0] == step(4 * STEPS_KEPT + 8)


@given(before=st.integers(0, 3 * STEPS_KEPT), during=st.integers(0, 2 * STEPS_KEPT), half=st.booleans())
def test_a_reader_that_is_overtaken_gets_whole_steps_only(before: int, during: int, half: bool) -> None:
    stepper = Stepper(before)

    def go_on() -> None:
        stepper.run(during)
        if half:
            stepper.write()  # killed, or interrupted, before it counted the step

    stepper.while_read = [go_on]
    assert stepper.log.steps() == [step(n) for n in range(max(0, before + during - STEPS_KEPT + 1), before)]


@given(st.binary(min_size=1, max_size=64), st.integers(-(2**63), 2**63 - 1))
def test_a_damaged_page_gives_steps_in_order_or_none(noise: bytes, count: int) -> None:
    page = bytearray((noise * STEP_LOG_BYTES)[:STEP_LOG_BYTES])
    steps = StepLog(memoryview(page), 0, lambda: count).steps()
    assert len(steps) <= STEPS_KEPT
    assert all(step.start_ns <= step.end_ns for step in steps)
    assert all(one.end_ns <= two.start_ns for one, two in pairwise(steps))
