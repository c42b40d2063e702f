"""How far the monotonic clock of another computer is ahead of ours, and how wrong that may be.

An exchange proves an interval: the other clock stood at `received_ns` after we sent and before we had the answer.
Each new interval is cut with what the earlier ones left, which widens by what two clocks may drift apart meanwhile.
So the shortest round trip counts most, an unequal way there and back stays within the bound, and the bound is true as
long as the drift is.
"""

from __future__ import annotations

from typing import NamedTuple

DRIFT_PPM = 200
"""Two crystals of 100 ppm each, or a clock that is being slewed."""


class Exchange(NamedTuple):
    """One question and its answer: sent and back on our clock, received and answered on the other one."""

    sent_ns: int
    received_ns: int
    answered_ns: int
    back_ns: int

    @property
    def round_trip_ns(self) -> int:
        """Time on the way, both ways."""
        return (self.back_ns - self.sent_ns) - (self.answered_ns - self.received_ns)

    @property
    def plausible(self) -> bool:
        """False for stamps that no clock can have produced."""
        return self.sent_ns <= self.back_ns and self.received_ns <= self.answered_ns and self.round_trip_ns >= 0


class Estimate(NamedTuple):
    """other clock - our clock = offset_ns, give or take uncertainty_ns."""

    offset_ns: int
    uncertainty_ns: int

    def to_local_ns(self, other_ns: int) -> int:
        """A time of the other clock on ours, at the early end of what is possible: nothing looks fresher than it is."""
        return other_ns - self.offset_ns - self.uncertainty_ns


class ClockOffset:
    """What all exchanges so far say together."""

    def __init__(self) -> None:
        self._low_ns = 0
        self._high_ns = 0
        self._at_ns: int | None = None
        self.steps = 0
        """How often an exchange contradicted the earlier ones: one of both clocks was stopped, or drifts too much."""

    def add(self, exchange: Exchange) -> bool:
        """Take an exchange into account; False when it is impossible and was ignored."""
        if not exchange.plausible:
            return False
        low = exchange.answered_ns - exchange.back_ns
        high = exchange.received_ns - exchange.sent_ns + _drift_ns(exchange.back_ns - exchange.sent_ns)
        if self._at_ns is not None:
            wider = _drift_ns(exchange.back_ns - self._at_ns)
            cut_low, cut_high = max(low, self._low_ns - wider), min(high, self._high_ns + wider)
            if cut_low <= cut_high:
                low, high = cut_low, cut_high
            else:
                self.steps += 1
        self._low_ns, self._high_ns, self._at_ns = low, high, exchange.back_ns
        return True

    def at(self, now_ns: int) -> Estimate | None:
        """The estimate at our time `now_ns`; None before the first exchange."""
        if self._at_ns is None:
            return None
        half_ns = (self._high_ns - self._low_ns + 1) // 2 + _drift_ns(now_ns - self._at_ns)
        return Estimate((self._low_ns + self._high_ns) // 2, half_ns)

    def forget(self) -> None:
        """Begin anew: the other computer has started again."""
        self._at_ns = None


def _drift_ns(duration_ns: int) -> int:
    return -(-abs(duration_ns) * DRIFT_PPM // 1_000_000)
