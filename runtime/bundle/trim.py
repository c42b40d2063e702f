"""A chunk without some of its messages: what stays is not looked at, let alone decoded, one message at a time.

Record layouts: MCAP specification version 0, https://mcap.dev/spec.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterable
from itertools import accumulate

from cardan.runtime.record.mcap_layout import MESSAGE, MESSAGE_INDEX, RECORD, records_in

Index = dict[int, bytes]
"""Channel -> log time and offset in the chunk of each of its messages, as 64-bit words."""
_ENTRY = struct.Struct("<HI")
_NUMBER = struct.Struct("<H")
MESSAGE_HEAD = RECORD.size + 22
"""Opcode and length, then channel, sequence, log time and time of sending."""


def index_or_none(records: bytes, data: bytes) -> Index | None:
    """The message indexes behind a chunk; None when they do not name each of its messages, or there are none.

    The last chunk of a file that is being written may have some of its indexes: a message that none names would stay.
    """
    index: Index = {}
    try:
        for opcode, _, content in records_in(records):
            channel, length = _ENTRY.unpack_from(content)
            pairs = bytes(content[_ENTRY.size :])
            if opcode != MESSAGE_INDEX or length != len(pairs) or length % 16:
                return None
            index[channel] = pairs
        return index if index and _covers(offsets_of(index.values()), data) else None
    except (ValueError, IndexError, struct.error):
        return None


def _covers(offsets: list[int], data: bytes) -> bool:
    """True where messages begin at these offsets, one behind the other to the end, and none stands before them."""
    ends = [offset + RECORD.size + RECORD.unpack_from(data, offset)[1] for offset in offsets]
    before = [opcode for opcode, _, _ in records_in(data[: offsets[0]])]
    return (
        ends == [*offsets[1:], len(data)]
        and all(data[offset] == MESSAGE for offset in offsets)
        and MESSAGE not in before
    )


def offsets_of(pairs: Iterable[bytes]) -> list[int]:
    """Where messages begin in their chunk, sorted."""
    return sorted(offset for part in pairs for offset in _words(part)[1::2])


def lengths(data: bytes, offsets: list[int]) -> list[int]:
    """Of each message with its head; whatever stands behind it counts."""
    return [end - begin for begin, end in zip(offsets, [*offsets[1:], len(data)], strict=True)]


def trimmed(data: bytes, index: Index, unwanted: Collection[int]) -> tuple[bytes, Index]:
    """Without the messages at these offsets, and without what stands before the first message."""
    offsets = offsets_of(index.values())
    first = offsets[0] if offsets else len(data)
    cuts = [(0, first)] if first else []
    cuts += [(at, min(len(data), at + RECORD.size + RECORD.unpack_from(data, at)[1])) for at in sorted(unwanted)]
    if not cuts:
        return data, index
    starts, gone = [begin for begin, _ in cuts], [0, *accumulate(end - begin for begin, end in cuts)]
    moved = {channel: _moved(pairs, starts, gone, unwanted) for channel, pairs in index.items()}
    kept = zip([0, *(end for _, end in cuts)], [*starts, len(data)], strict=True)
    rest = b"".join(data[begin:end] for begin, end in kept)
    return rest, {channel: pairs for channel, pairs in moved.items() if pairs}


def _moved(pairs: bytes, starts: list[int], gone: list[int], unwanted: Collection[int]) -> bytes:
    """gone: bytes that are missing before the first cut, behind it, behind the second, and so on."""
    words = _words(pairs)
    moved: list[int] = []
    for log_ns, offset in zip(words[::2], words[1::2], strict=True):
        if offset not in unwanted:
            moved += (log_ns, offset - gone[bisect_right(starts, offset)])
    return struct.pack(f"<{len(moved)}Q", *moved)


def renumbered(data: bytes, index: Index, numbers: dict[int, int]) -> tuple[bytes, Index]:
    """With other channel numbers: recordings of one run count their channels each for itself."""
    if all(numbers[channel] == channel for channel in index):
        return data, index
    changed = bytearray(data)
    for channel, pairs in index.items():
        for offset in _words(pairs)[1::2]:
            _NUMBER.pack_into(changed, offset + RECORD.size, numbers[channel])
    return bytes(changed), {numbers[channel]: pairs for channel, pairs in index.items()}


def times_of(index: Index) -> tuple[int, int]:
    """First and last log time."""
    stamps = [log_ns for pairs in index.values() for log_ns in _words(pairs)[::2]]
    return min(stamps), max(stamps)


def _words(pairs: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(pairs) // 8}Q", pairs)
