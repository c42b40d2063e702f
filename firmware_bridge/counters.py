"""What a message counter tells the receiver: in order, some lost, repeated, or wrong."""

from __future__ import annotations

from enum import Enum


class Sequence(Enum):
    """What a counter says about one message."""

    FIRST = "first"
    OK = "ok"
    SOME_LOST = "some lost"
    REPEATED = "repeated"
    WRONG = "wrong"


class CounterWatch:
    """Follows the counter of one message: lost (up to `max_lost` in a row), repeated, or wrong.

    A wrong counter is the new reference, so that a sender that restarted is trusted again with its next message.
    """

    def __init__(self, modulus: int, max_lost: int) -> None:
        self._modulus = modulus
        self._max_lost = max_lost
        self._last: int | None = None

    def see(self, counter: int) -> Sequence:
        """Judge the counter of the next message."""
        last, self._last = self._last, counter
        if last is None:
            return Sequence.FIRST
        step = (counter - last) % self._modulus
        if step == 0:
            return Sequence.REPEATED
        if step == 1:
            return Sequence.OK
        return Sequence.SOME_LOST if step <= self._max_lost + 1 else Sequence.WRONG
