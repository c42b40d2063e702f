"""How much may be said: a bucket for messages and one for bytes."""

from __future__ import annotations

from cardan.runtime.clock import NS_PER_S


class Budget:
    """Lets through so many messages and bytes a second, and no more than one second's worth at once.

    A message that is larger than a second's worth of bytes passes when the bucket is full.
    """

    def __init__(self, messages_per_s: float, bytes_per_s: float) -> None:
        self._rates = (messages_per_s, bytes_per_s)
        self._levels = [messages_per_s, bytes_per_s]
        self._at_ns: int | None = None

    def takes(self, size: int, now_ns: int) -> bool:
        """True when a message of `size` bytes may leave now; it is counted then."""
        self._fill(now_ns)
        wanted = (1.0, float(size))
        fits = (level >= min(want, rate) for level, want, rate in zip(self._levels, wanted, self._rates, strict=True))
        if not all(fits):
            return False
        self._levels = [level - want for level, want in zip(self._levels, wanted, strict=True)]
        return True

    def give_back(self, size: int) -> None:
        """A message that was counted did not leave."""
        self._levels = [
            min(rate, level + want) for level, want, rate in zip(self._levels, (1.0, size), self._rates, strict=True)
        ]

    def _fill(self, now_ns: int) -> None:
        elapsed_s = 0.0 if self._at_ns is None else max(0, now_ns - self._at_ns) / NS_PER_S
        self._at_ns = now_ns
        self._levels = [
            min(rate, level + rate * elapsed_s) for level, rate in zip(self._levels, self._rates, strict=True)
        ]
