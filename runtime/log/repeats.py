"""Repeats: what is said again and again is written a few times, then counted."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from cardan.runtime.clock import NS_PER_S, ns

MOST = 20
"""Records of one kind that are written in one window."""
WINDOW_NS = ns(10.0)
KINDS = 256
"""Kinds that are told apart; beyond that the longest unheard is forgotten."""


class _Kind:
    """What was said of one kind in the present window."""

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.written = 0
        self.held_back = 0


class Held(NamedTuple):
    """What was not written of one kind."""

    kind: Hashable
    times: int
    seconds: float


class Repeats:
    """Decides for one writer. Time comes with each call."""

    def __init__(self, most: int = MOST, window_ns: int = WINDOW_NS) -> None:
        self._most = most
        self._window_ns = window_ns
        self._kinds: dict[Hashable, _Kind] = {}

    def may_write(self, kind: Hashable, now_ns: int) -> bool:
        """True when one more of this kind is to be written now; else it is counted."""
        found = self._kinds.get(kind)
        if found is None or (now_ns - found.began_ns >= self._window_ns and not found.held_back):
            self._kinds.pop(kind, None)
            found = self._kinds[kind] = _Kind(now_ns)
            self._forget()
        if found.written < self._most:
            found.written += 1
            return True
        found.held_back += 1
        return False

    def take_held(self, now_ns: int, *, all_of_it: bool = False) -> list[Held]:
        """What was held back in windows that are over; each is told once. all_of_it: also in those that are not."""
        over = {
            kind: found
            for kind, found in self._kinds.items()
            if found.held_back and (all_of_it or now_ns - found.began_ns >= self._window_ns)
        }
        for kind in over:
            del self._kinds[kind]
        return [Held(kind, found.held_back, (now_ns - found.began_ns) / NS_PER_S) for kind, found in over.items()]

    def _forget(self) -> None:
        """Bound the number of kinds; a count that was held back is not forgotten."""
        if len(self._kinds) > KINDS:
            quiet = next((kind for kind, found in self._kinds.items() if not found.held_back), None)
            self._kinds.pop(next(iter(self._kinds)) if quiet is None else quiet)
