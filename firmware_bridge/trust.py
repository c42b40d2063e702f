"""Which messages of the vehicle bus may be believed: checksum, counter, rate, quality flag and age of each."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.counters import CounterWatch, Sequence
from cardan.runtime.clock import NS_PER_S, ns

MAX_AGE_PERIODS = 3
"""A message that is silent for more of its own periods is not believed."""
BAD_OF = (3, 5)
"""So many bad ones among the last so many messages: the sender is not believed."""
MAX_LOST = 4
"""So many messages in a row may be missing before the counter counts as wrong; silence is judged by age."""
RATE_OF = 20
"""The rate is judged by the time that so many messages took."""
FASTEST_OF_PERIOD = 0.5
"""A message that comes, on average, in less than this share of its period has two senders, or one gone wild."""
SLOWEST_OF_AGE = 2 / 3
"""A message that needs more than this share of its age limit, on average (two of its periods), is about to fail."""


class Quality(NamedTuple):
    """What a sender says about its own message: it may be used when signal x scale + offset is above 0.5."""

    signal: str
    scale: float = 1.0
    offset: float = 0.0


VALID = Quality("VALID")
"""A signal of this name is the quality flag where nothing else is said."""


class TrustedMessage:
    """One message of the bus: what arrived, and whether it may be believed. Single-threaded.

    max_age_s: None = three periods of the message, which must then have a period. quality: None = the signal VALID,
    where the message has one.
    """

    def __init__(
        self,
        codec: MessageCodec,
        *,
        period_s: float | None = None,
        max_age_s: float | None = None,
        quality: Quality | None = None,
    ) -> None:
        self.codec = codec
        period_s = period_s or codec.period_s or 0.0
        self.max_age_ns = ns(max_age_s if max_age_s is not None else MAX_AGE_PERIODS * period_s)
        self.values: dict[str, float] = {}
        """Of the newest message that was believed; empty before the first."""
        self.stamp_ns = 0
        """When that was received; 0 before the first."""
        self.decoded = 0
        """Messages believed so far."""
        self.checksum_failures = 0
        self.counter_failures = 0
        """Counters that were repeated or wrong."""
        self.lost = 0
        """Times that the counter showed a gap that is small enough to go on."""
        self.flagged = 0
        """Messages that their own sender called invalid."""
        self._quality = quality or (VALID if VALID.signal in codec.signals else None)
        self._fastest_ns = round(FASTEST_OF_PERIOD * ns(period_s))
        self._slowest_ns = round(SLOWEST_OF_AGE * self.max_age_ns)
        self._stamps: deque[int] = deque(maxlen=RATE_OF + 1)
        """Of the messages since the last silence, whether or not they were believed."""
        self._watch = CounterWatch(codec.modulus, MAX_LOST) if codec.modulus else None
        self._recent: deque[str] = deque(maxlen=BAD_OF[1])
        self._bad = 0
        self._newest_wrong = ""

    def receive(self, data: bytes, stamp_ns: int) -> bool:
        """Judge one frame; True when it was believed, and only then `values` has changed."""
        stamps = self._stamps
        if stamps and stamp_ns - stamps[-1] > self.max_age_ns:
            stamps.clear()
        stamps.append(stamp_ns)
        wrong = self._newest_wrong = self._judge(data)
        if wrong or self._bad:
            self._recent.append(wrong)
            self._bad = sum(1 for item in self._recent if item)
        if wrong:
            return False
        values = self.codec.decode(data)
        quality = self._quality
        if quality is not None and values[quality.signal] * quality.scale + quality.offset <= 0.5:
            self.flagged += 1
            self._newest_wrong = "flagged"
            return False
        self.values, self.stamp_ns = values, stamp_ns
        self.decoded += 1
        return True

    def _judge(self, data: bytes) -> str:
        """What is wrong with the frame; "" when nothing is."""
        if not self.codec.intact(data):
            self.checksum_failures += 1
            return "checksum"
        if self._watch is None:
            return ""
        sequence = self._watch.see(self.codec.counter(data))
        if sequence in (Sequence.REPEATED, Sequence.WRONG):
            self.counter_failures += 1
            return "counter"
        self.lost += sequence is Sequence.SOME_LOST
        return ""

    def problem(self, now_ns: int) -> str:
        """Why the message may not be believed now, as `CODE:NAME`; "" when it may."""
        if self._bad >= BAD_OF[0]:
            newest = next(wrong for wrong in reversed(self._recent) if wrong)
            return f"{newest}:{self.codec.name}"
        if not self.stamp_ns:
            return f"absent:{self.codec.name}"
        if now_ns - self.stamp_ns > self.max_age_ns:
            comes = self._newest_wrong and now_ns - self._stamps[-1] <= self.max_age_ns
            return f"{self._newest_wrong if comes else 'silent'}:{self.codec.name}"
        return self._wrong_rate()

    def _wrong_rate(self) -> str:
        stamps = self._stamps
        if len(stamps) <= RATE_OF:
            return ""
        mean_ns = (stamps[-1] - stamps[0]) // RATE_OF
        if mean_ns > self._slowest_ns:
            return f"slow:{self.codec.name}"
        return f"fast:{self.codec.name}" if mean_ns < self._fastest_ns else ""

    def age_s(self, now_ns: int) -> float:
        """Seconds since the newest believed message; infinite before the first."""
        return (now_ns - self.stamp_ns) / NS_PER_S if self.stamp_ns else float("inf")
