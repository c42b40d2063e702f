"""H.264 as a stream of bytes (ITU-T H.264, Annex B), cut into access units: what makes one picture.

A unit begins with the first of its delimiter, parameter sets or supplementary data behind a picture, or with the first
slice of the next one (7.4.1.2.3). Baseline streams whose slices come in any order are not read.
"""

from __future__ import annotations

from typing import NamedTuple

START = b"\x00\x00\x01"
SLICE, PARTITION_A, KEY_SLICE = 1, 2, 5
PICTURE = frozenset((SLICE, PARTITION_A, 3, 4, KEY_SLICE))
"""Types of units that hold a part of a picture."""
BEFORE = frozenset((6, 7, 8, 9, 14, 15, 16, 17, 18))
"""Types that stand before the picture that they belong to."""
LOOK_BYTES = 5
"""A start code, the type, and the first byte of a slice: what a decision takes."""
MOST_BYTES = 32 << 20
"""Of one picture: more is no picture."""


class AccessUnit(NamedTuple):
    """One picture."""

    data: bytes
    keyframe: bool
    """A decoder can begin here (IDR)."""


class Splitter:
    """Cuts a stream. What it gives, put together, is the stream, however it was fed."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._looked = 0
        """So far is known where units begin."""
        self._has_picture = self._keyframe = False
        """Of the unit at the beginning of `_kept`."""

    def feed(self, data: bytes) -> list[AccessUnit]:
        """The units that have ended. ValueError when this is no such stream."""
        kept = self._kept
        kept += data
        if self._looked == 0 and len(kept) > len(START) and START not in kept[: len(START) + 1]:
            raise ValueError("it does not begin with a start code of Annex B")
        found = []
        while True:
            at = kept.find(START, self._looked)
            if at < 0 or at + LOOK_BYTES > len(kept):
                break
            kind, first = kept[at + 3] & 0x1F, bool(kept[at + 4] & 0x80)
            if self._has_picture and (kind in BEFORE or (kind in (SLICE, PARTITION_A, KEY_SLICE) and first)):
                cut = at - 1 if at and kept[at - 1] == 0 else at
                found.append(self._cut(cut))
                at -= cut
            self._has_picture |= kind in PICTURE
            self._keyframe |= kind == KEY_SLICE
            self._looked = at + len(START)
        if at < 0:
            self._looked = max(self._looked, len(kept) - len(START) + 1)
        if len(kept) > MOST_BYTES:
            raise ValueError(f"a picture takes more than {MOST_BYTES >> 20} MiB")
        return found

    def end(self) -> list[AccessUnit]:
        """The last unit: the stream has ended."""
        return [self._cut(len(self._kept))] if self._has_picture else []

    def _cut(self, at: int) -> AccessUnit:
        unit = AccessUnit(bytes(self._kept[:at]), self._keyframe)
        del self._kept[:at]
        self._looked = 0
        self._has_picture = self._keyframe = False
        return unit


def is_keyframe(unit: bytes) -> bool:
    """Whether a decoder can begin with this access unit; False for what is none."""
    splitter = Splitter()
    try:
        found = [*splitter.feed(unit), *splitter.end()]
    except ValueError:
        return False
    return bool(found) and found[0].keyframe
