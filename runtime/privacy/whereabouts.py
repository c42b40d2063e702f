"""Where the vehicle was when: which zones it was in at a moment of the near past."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from cardan.runtime.clock import ns
from cardan.runtime.privacy.places import Position, is_inside
from cardan.runtime.privacy.settings import PrivacySettings, Zone

LONGEST_CHANGES = 4096
UNKNOWN = "position unknown"


class _Change(NamedTuple):
    from_ns: int
    zones: frozenset[str]


class Whereabouts:
    """The zones a vehicle has been in. What is not known counts as inside: nothing is kept on a guess."""

    def __init__(self, settings: PrivacySettings) -> None:
        self._zones = settings.zones
        self._max_age_ns = ns(settings.position_max_age_s)
        self._all = frozenset(zone.name for zone in settings.zones)
        self._changes: list[_Change] = []
        self._seen_ns: int | None = None
        self._gaps: list[tuple[int, int]] = []

    def seen(self, position: Position, at_ns: int) -> None:
        """The vehicle is at `position`; an older position than the newest is left out."""
        if not self._zones or (self._seen_ns is not None and at_ns < self._seen_ns):
            return
        if self._seen_ns is not None and at_ns - self._seen_ns > self._max_age_ns:
            self._gaps = [*self._gaps[-LONGEST_CHANGES:], (self._seen_ns + self._max_age_ns, at_ns)]
        self._seen_ns = at_ns
        zones = frozenset(zone.name for zone in self._zones if is_inside(zone, position))
        if not self._changes or self._changes[-1].zones != zones:
            self._changes = [*self._changes[-LONGEST_CHANGES:], _Change(at_ns, zones)]

    def zones_at(self, at_ns: int) -> frozenset[str]:
        """Names of the zones the vehicle was in; all of them when nobody can say."""
        if self._seen_ns is None or at_ns > self._seen_ns + self._max_age_ns:
            return self._all
        if any(start <= at_ns < end for start, end in self._gaps):
            return self._all
        index = bisect_right(self._changes, at_ns, key=lambda change: change.from_ns)
        return self._changes[index - 1].zones if index else self._all

    def zones_named(self, names: frozenset[str]) -> list[Zone]:
        """The settings of these zones."""
        return [zone for zone in self._zones if zone.name in names]
