"""The step log: begin and end of the newest steps of one node, as they lie in the vitals.

A ring of pairs of 64-bit words (start, end; monotonic nanoseconds). The number of steps that have ended is the
counter: step n lies at n modulo the size. The node writes the pair first and counts afterwards; a reader copies the
ring between two looks at the counter and leaves out what may have been overwritten meanwhile, so that nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

STEPS_KEPT = 512
STEP_LOG_BYTES = STEPS_KEPT * 2 * 8


class Step(NamedTuple):
    """One step of a node that has ended."""

    number: int
    """Counts from 0 over all starts of the node."""
    start_ns: int
    end_ns: int


class StepLog:
    """The log of one node; its node is the only writer. counted: the number of steps that have ended."""

    def __init__(self, page: memoryview, offset: int, counted: Callable[[], int]) -> None:
        self._bytes = page[offset : offset + STEP_LOG_BYTES]
        self._words = self._bytes.cast("q")
        self._counted = counted

    def note(self, number: int, start_ns: int, end_ns: int) -> None:
        """Keep step `number`; the caller counts it afterwards."""
        at = number % STEPS_KEPT * 2
        self._words[at] = start_ns
        self._words[at + 1] = end_ns

    def steps(self) -> list[Step]:
        """The newest steps, oldest first; at most STEPS_KEPT - 1 of a node that is running."""
        before = self._counted()
        words = self._words.tolist()
        after = self._counted()
        # The node may be writing step `after` now, in the place of the one that was STEPS_KEPT before.
        first = max(0, after - STEPS_KEPT + 1, before - STEPS_KEPT)
        return _plausible([Step(n, *words[n % STEPS_KEPT * 2 :][:2]) for n in range(first, before)])

    def release(self) -> None:
        self._words.release()
        self._bytes.release()


def _plausible(steps: list[Step]) -> list[Step]:
    """Without pairs that are no step: torn by a processor that stores out of order, or damaged."""
    kept: list[Step] = []
    for step in steps:
        if 0 < step.start_ns <= step.end_ns and (not kept or step.start_ns >= kept[-1].end_ns):
            kept.append(step)
    return kept
