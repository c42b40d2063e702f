"""Wraps in the head of an object: they come back, and nothing damaged does anything but be refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.uplink.keys.software import AesKey
from cardan.runtime.uplink.keys.wraps import Wrap, WrapKind, decode_wraps, encode_wraps

WRAPS = st.lists(
    st.builds(Wrap, st.sampled_from(WrapKind), st.binary(min_size=8, max_size=8), st.binary(max_size=600)),
    max_size=4,
)


@given(WRAPS)
def test_wraps_come_back(wraps: list[Wrap]) -> None:
    assert decode_wraps(encode_wraps(wraps)) == wraps


@given(WRAPS, st.integers(1, 2000))
def test_what_is_cut_off_is_refused_or_ends_between_two(wraps: list[Wrap], cut: int) -> None:
    data = encode_wraps(wraps)
    try:
        found = decode_wraps(data[:-cut])
    except ValueError:
        return
    assert found == wraps[: len(found)]


@given(st.binary(max_size=200))
def test_noise_is_refused_or_is_wraps(data: bytes) -> None:
    try:
        decode_wraps(data)
    except ValueError as error:
        assert "ends" in str(error)


@given(WRAPS)
def test_a_kind_of_a_later_release_is_left_out_and_the_others_are_read(wraps: list[Wrap]) -> None:
    later = b"\xee" + bytes(8) + b"\x00\x03abc"
    assert decode_wraps(later + encode_wraps(wraps)) == wraps


def test_an_aes_key_tells_its_own_wraps_from_those_of_others() -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'cardan[sign]'")
    key, other = AesKey(bytes(32)), AesKey(bytes(range(32)))
    wrap = key.wrap(b"0123456789abcdef" * 2)
    assert key.unwrap_or_none([other.wrap(bytes(32)), wrap]) == b"0123456789abcdef" * 2
    assert other.unwrap_or_none([wrap]) is None
    assert key.wrap(bytes(32)) != key.wrap(bytes(32))
