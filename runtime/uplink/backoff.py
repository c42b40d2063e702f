"""When to try again after a failure: later each time, and never at the same moment as a thousand other vehicles."""

from __future__ import annotations

from random import Random

from cardan.runtime.clock import NS_PER_S

FIRST_WAIT_NS = NS_PER_S
LONGEST_WAIT_NS = 300 * NS_PER_S
LONGEST_WAIT_FOR_A_KEY_NS = 30 * NS_PER_S
"""A key that is renewed should not wait for minutes to be used."""


class Backoff:
    """Full jitter: between nothing and a limit that doubles with each failure, from 1 s up to 300 s."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.failures = 0
        """In a row."""
        self.until_ns = 0
        """Nothing is tried before."""

    def failed(self, now_ns: int, *, soon: bool = False) -> None:
        """One more failure. soon: it is a matter of the key."""
        self.failures += 1
        most_ns = LONGEST_WAIT_FOR_A_KEY_NS if soon else LONGEST_WAIT_NS
        longest_ns = min(most_ns, FIRST_WAIT_NS << min(self.failures - 1, 20))
        self.until_ns = now_ns + int(self._random.random() * longest_ns)

    def reset(self) -> None:
        """It went well, or somebody wants it tried now."""
        self.failures = self.until_ns = 0
