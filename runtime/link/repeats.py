"""Say a thing once and not a hundred times: for what other computers can make us say."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.clock import NS_PER_S, Clock

AGAIN_NS = 10 * NS_PER_S
MOST = 64
"""Texts that are remembered."""


class Repeats:
    """Passes a text on at most once in ten seconds, with the number of times it was held back."""

    def __init__(self, say: Callable[[str], None], clock: Clock) -> None:
        self._say = say
        self._clock = clock
        self._said: dict[str, tuple[int, int]] = {}

    def __call__(self, text: str) -> None:
        """Say `text`, or count it."""
        now_ns = self._clock.now_ns()
        said_ns, held_back = self._said.pop(text, (None, 0))
        if said_ns is not None and now_ns - said_ns < AGAIN_NS:
            self._said[text] = (said_ns, held_back + 1)
            return
        self._said[text] = (now_ns, 0)
        while len(self._said) > MOST:
            del self._said[next(iter(self._said))]
        self._say(f"{text} ({held_back} times more since)" if held_back else text)
