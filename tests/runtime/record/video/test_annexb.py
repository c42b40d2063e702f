"""Streams of H.264 cut into pictures: nothing is lost, nothing depends on how the bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.record.video import annexb
from cardan.runtime.record.video.annexb import AccessUnit, Splitter

BODY = st.lists(st.integers(2, 255), max_size=12).map(bytes)  # no zeros and ones: no start code inside
FIRST, LATER = b"\x80", b"\x40"
SHORT, LONG = b"\x00\x00\x01", b"\x00\x00\x00\x01"


@st.composite
def unit_parts(draw: st.DrawFn) -> tuple[bytes, bool]:
    """One picture as encoders write them: a delimiter or not, parameter sets, then one slice or more."""
    key = draw(st.booleans())
    kind = 0x65 if key else 0x41
    data = b""
    for before in draw(st.lists(st.sampled_from((0x67, 0x68, 0x06)), max_size=3)):
        data += draw(st.sampled_from((SHORT, LONG))) + bytes([before]) + b"\xff" + draw(BODY)
    if draw(st.booleans()):
        data = LONG + b"\x09\xf0" + data
    data += draw(st.sampled_from((SHORT, LONG))) + bytes([kind]) + FIRST + draw(BODY)
    for _ in range(draw(st.integers(0, 2))):
        data += SHORT + bytes([kind]) + LATER + draw(BODY)
    return data, key


STREAMS = st.lists(unit_parts(), min_size=1, max_size=6)


def split(data: bytes, sizes: list[int]) -> list[AccessUnit]:
    splitter, found, at = Splitter(), [], 0
    for size in sizes:
        found += splitter.feed(data[at : at + size])
        at += size
    return [*found, *splitter.feed(data[at:]), *splitter.end()]


@given(STREAMS, st.lists(st.integers(0, 9), max_size=40))
def test_each_picture_is_one_unit_however_the_bytes_come(parts: list[tuple[bytes, bool]], sizes: list[int]) -> None:
    data = b"".join(part for part, _ in parts)
    assert split(data, sizes) == [AccessUnit(part, key) for part, key in parts]


@given(st.binary(max_size=300), st.lists(st.integers(0, 40), max_size=10))
def test_of_any_bytes_no_byte_is_lost_and_none_is_made(data: bytes, sizes: list[int]) -> None:
    data = SHORT + b"\x65\x80" + data
    units = split(data, sizes)
    assert b"".join(unit.data for unit in units) == data
    assert units == split(data, [])


@given(STREAMS)
def test_a_picture_is_given_as_soon_as_the_next_one_begins(parts: list[tuple[bytes, bool]]) -> None:
    splitter = Splitter()
    given = [len(splitter.feed(part)) for part, _ in parts]
    assert sum(given) == len(parts) - 1


def test_what_is_no_such_stream_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="start code"):
        Splitter().feed(b"\x1aE\xdf\xa3 matroska")
    assert split(b"", []) == split(SHORT + b"\x67\xff", []) == []


def test_a_picture_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annexb, "MOST_BYTES", 100)
    splitter = Splitter()
    splitter.feed(SHORT + b"\x65\x80" + b"\xff" * 90)
    with pytest.raises(ValueError, match="a picture takes more"):
        splitter.feed(b"\xff" * 20)
