"""Toyota's sum: a real frame, and every changed byte."""

from __future__ import annotations

from cardan.firmware_bridge.additive import AdditiveChecksum

STEERING_ANGLE = bytes.fromhex("00001000C00000FD")
"""Frame 0x025 of a Toyota RAV4 (comma2k19)."""


def test_the_sum_of_a_recorded_frame_matches() -> None:
    assert AdditiveChecksum(0x25).matches(STEERING_ANGLE)


def test_protecting_writes_the_recorded_sum_whatever_stood_there() -> None:
    data = bytearray(STEERING_ANGLE[:-1] + b"\x77")
    AdditiveChecksum(0x25).protect(data, counter=9)
    assert data == STEERING_ANGLE


def test_every_changed_byte_is_found() -> None:
    for index in range(8):
        broken = bytearray(STEERING_ANGLE)
        broken[index] ^= 0x10
        assert not AdditiveChecksum(0x25).matches(bytes(broken))


def test_the_identifier_is_part_of_the_sum() -> None:
    assert not AdditiveChecksum(0x26).matches(STEERING_ANGLE)
    assert not AdditiveChecksum(0x125).matches(STEERING_ANGLE)


def test_it_has_no_counter() -> None:
    checksum = AdditiveChecksum(0x25)
    assert (checksum.modulus, checksum.counter(STEERING_ANGLE)) == (0, 0)
