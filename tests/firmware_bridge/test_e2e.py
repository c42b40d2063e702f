"""AUTOSAR E2E: our own few lines against the independent implementation, and what each profile must detect."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.firmware_bridge.e2e import (
    DATA_ID_MODES_01,
    PROFILES,
    Profile01,
    Profile02,
    Profile04,
    Profile05,
    Profile07,
    Protection,
    crc8,
    crc32_p4,
    crc64_ecma,
    profile_11,
    protection,
)

VECTORS = 2000
ALL = [protection(profile, 0x0ABC) for profile in PROFILES]
IDS = [f"profile {profile}" for profile in PROFILES]


def test_the_crcs_have_the_check_values_of_the_crc_catalogue() -> None:
    check = b"123456789"
    assert crc8(check, 0xFF) ^ 0xFF == 0x4B  # CRC-8/SAE-J1850
    assert crc8(check, 0xFF, 0x2F) ^ 0xFF == 0xDF  # CRC-8/AUTOSAR
    assert crc32_p4(check) == 0x1697D06A  # CRC-32/AUTOSAR
    assert crc64_ecma(check) == 0x995DC9BBDF1939FA  # CRC-64/XZ


Pair = tuple[Callable[[random.Random], Protection], Callable[[bytearray, Protection], None]]


def oracle(profile: str) -> list[Pair]:
    """How to make a random protection, and how the independent implementation protects with the same parameters."""
    module = pytest.importorskip(f"e2e.p{profile}", reason="autosar-e2e is not installed (it has x86-64 wheels only)")
    protect = getattr(module, f"e2e_p{profile}_protect")

    def mode_01(number: int) -> Pair:
        def make(rng: random.Random) -> Protection:
            return Profile01(rng.randrange(0x1000), DATA_ID_MODES_01[number], rng.randrange(8))

        def theirs(data: bytearray, ours: Protection) -> None:
            assert isinstance(ours, Profile01)
            options = {"data_id_mode": number, "offset": ours.offset, "increment_counter": False}
            protect(data, ours.data_id, **options)

        return make, theirs

    def headed(kind: type[Profile04 | Profile05 | Profile07], maximum: int) -> Pair:
        def make(rng: random.Random) -> Protection:
            return kind(rng.randrange(maximum), rng.randrange(8))

        def theirs(data: bytearray, ours: Protection) -> None:
            assert isinstance(ours, kind)
            protect(data, ours.data_id, offset=ours.offset, increment_counter=False)

        return make, theirs

    def listed(data: bytearray, ours: Protection) -> None:
        assert isinstance(ours, Profile02)
        protect(data, ours.data_ids, increment_counter=False)

    pairs: dict[str, list[Pair]] = {
        "01": [mode_01(number) for number in range(4)],
        "02": [(lambda rng: Profile02(rng.randbytes(16)), listed)],
        "04": [headed(Profile04, 2**32)],
        "05": [headed(Profile05, 2**16)],
        "07": [headed(Profile07, 2**32)],
        "11": [mode_01(0), mode_01(3)],
    }
    return pairs[profile]


@pytest.mark.parametrize("profile", ["01", "02", "04", "05", "07", "11"])
def test_every_profile_gives_the_bytes_of_the_independent_implementation(profile: str) -> None:
    rng = random.Random(profile)
    for make, theirs in oracle(profile):
        for _ in range(VECTORS):
            ours = make(rng)
            data = bytearray(rng.randbytes(rng.randrange(28, 65)))
            ours.protect(data, rng.randrange(ours.modulus))
            expected = bytearray(data)
            theirs(expected, ours)
            assert data == expected
            assert ours.matches(bytes(data))


@pytest.mark.parametrize("ours", ALL, ids=IDS)
def test_what_was_protected_matches_and_gives_its_counter_back(ours: Protection) -> None:
    for counter in (0, 1, 7, ours.modulus - 1):
        data = bytearray(range(ours.minimum_length + 4))
        ours.protect(data, counter)
        assert ours.matches(bytes(data))
        assert ours.counter(bytes(data)) == counter


HEADERS = {1: (15, 2), 2: (16, 2), 4: (2**16, 12), 5: (2**8, 3), 7: (2**32, 20), 11: (15, 2)}


@pytest.mark.parametrize("profile", list(PROFILES))
def test_counter_and_header_are_as_long_as_the_standard_says(profile: int) -> None:
    modulus, length = HEADERS[profile]
    ours = protection(profile, 0x0ABC)
    assert (ours.modulus, ours.minimum_length) == (modulus, length)
    if not isinstance(ours, Profile02):
        assert replace(ours, offset=3).minimum_length == length + 3  # type: ignore[type-var] # each is a dataclass


@pytest.mark.parametrize(
    "make", [lambda: Profile01(0xFFFF), lambda: Profile01(0xFFF, "nibble"), lambda: Profile04(2**32 - 1)]
)
def test_the_greatest_data_id_is_one(make: Callable[[], Protection]) -> None:
    assert make()
    assert protection(5, 0xFFFF) == Profile05(0xFFFF)
    assert protection(7, 2**32 - 1) == Profile07(2**32 - 1)
    assert protection(2, 0xFFFF)


def test_the_sixteen_data_ids_of_profile_2_are_derived_from_one_number() -> None:
    derived = "23 34 45 56 67 78 89 9A AB BC CD DE EF 00 11 22"
    assert protection(2, 0x0123) == Profile02(bytes.fromhex(derived))


def test_a_protection_is_shown_by_its_parameters_alone() -> None:
    assert repr(Profile01(7)) == "Profile01(data_id=7, mode='both', offset=0)"
    assert repr(Profile05(7)) == "Profile05(data_id=7, offset=0)"


def test_the_header_stands_at_the_beginning_where_nothing_else_is_said() -> None:
    assert Profile04(7) == Profile04(7, 0)
    assert profile_11(7) == Profile01(7, "nibble", 0)


@pytest.mark.parametrize("ours", ALL, ids=IDS)
def test_what_does_not_match_is_false(ours: Protection) -> None:
    data = bytearray(ours.minimum_length + 4)
    ours.protect(data, 1)
    data[-1] ^= 1
    assert ours.matches(bytes(data)) is False


@pytest.mark.parametrize("ours", ALL, ids=IDS)
def test_every_single_flipped_bit_is_found(ours: Protection) -> None:
    data = bytearray(range(ours.minimum_length + 4))
    ours.protect(data, 3)
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        assert not ours.matches(bytes(broken)), f"bit {bit}"


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_message_of_another_data_id_does_not_match(profile: int) -> None:
    data = bytearray(24)
    protection(profile, 0x0123).protect(data, 5)
    assert not protection(profile, 0x0124).matches(bytes(data))


@pytest.mark.parametrize("ours", ALL, ids=IDS)
@given(payload=st.binary(min_size=24, max_size=64))
def test_protecting_leaves_all_other_bytes_alone(ours: Protection, payload: bytes) -> None:
    data = bytearray(payload)
    ours.protect(data, 2)
    assert data[ours.minimum_length :] == payload[ours.minimum_length :]
    assert len(data) == len(payload)


def test_profile_1_keeps_the_upper_half_of_the_counter_byte_for_signals() -> None:
    data = bytearray(b"\x00\xa5\x00\x00")
    Profile01(0x123).protect(data, 2)
    assert data[1] == 0xA2


def test_profile_2_keeps_the_upper_half_of_the_counter_byte_for_signals() -> None:
    data = bytearray(b"\x5a\xa5\x00\x00")
    Profile02(bytes(16)).protect(data, 2)
    assert data[1] == 0xA2


def test_profile_1_refuses_the_reserved_counter() -> None:
    ours = Profile01(0x123)
    data = bytearray(8)
    ours.protect(data, 15)  # a faulty sender
    assert ours.matches(bytes(data)) is False


def test_profile_1_nibble_compares_the_half_byte_of_the_data_id_that_is_sent() -> None:
    data = bytearray(8)
    Profile01(0x2CD, "nibble").protect(data, 1)
    assert data[1] == 0x21
    assert not Profile01(0x3CD, "nibble").matches(bytes(data))


def test_profile_4_and_7_find_a_message_that_was_cut() -> None:
    for ours in (Profile04(1), Profile07(1)):
        data = bytearray(32)
        ours.protect(data, 9)
        assert not ours.matches(bytes(data[:-1]))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Profile01(0x1_0000), "data_id is 65536, expected 0 to 65535"),
        (lambda: Profile01(0x1000, "nibble"), "data_id is 4096, expected 0 to 4095"),
        (lambda: Profile01(1, "sideways"), 'data id mode is "sideways", expected one of both, alternating'),
        (lambda: Profile01(1, "both", -1), "offset is -1"),
        (lambda: Profile02(b"short"), "profile 2 needs 16 data ids of one byte, got 5"),
        (lambda: Profile04(2**32), "data_id is 4294967296"),
        (lambda: Profile05(2**16), "data_id is 65536"),
        (lambda: Profile07(-1), "data_id is -1"),
        (lambda: Profile07(2**32), "data_id is 4294967296"),
        (lambda: Profile04(1, -1), "offset is -1, expected 0 or more"),
        (lambda: Profile05(1, -1), "offset is -1, expected 0 or more"),
        (lambda: Profile07(1, -1), "offset is -1, expected 0 or more"),
        (lambda: profile_11(1, "low"), 'data id mode is "low", expected one of both, nibble'),
        (lambda: protection(3, 1), "E2E profile 3 is unknown, expected one of 1, 2, 4, 5, 7, 11"),
        (lambda: protection(2, 2**16), "data_id is 65536"),
    ],
)
def test_parameters_that_cannot_be_are_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1, 291, "low", 2), Profile01(291, "low", 2)),
        ((11, 291, "both"), Profile01(291, "both")),
        ((4, 7, "", 3), Profile04(7, 3)),
        ((5, 7, "", 3), Profile05(7, 3)),
        ((7, 7, "", 3), Profile07(7, 3)),
        ((2, 0, "", 0, "00" * 16), Profile02(bytes(16))),
        ((2, 1), Profile02(bytes((1 + step * 17) & 0xFF for step in range(16)))),
    ],
)
def test_mode_offset_and_data_ids_reach_their_profile(arguments: Any, expected: Protection) -> None:
    assert protection(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((5, 7, "low"), "^E2E profile 5 has no data id mode"),
        ((1, 7, "", 0, "00"), "profile 1 has no list of data ids"),
        ((2, 7, "low"), "^E2E profile 2 has neither an offset nor a data id mode"),
        ((2, 7, "", 1), "neither an offset nor a data id mode"),
        ((2, 0, "", 0, "00"), "16 data ids"),
        ((11, 7, "low"), "expected one of both, nibble"),
        ((3, 7), "E2E profile 3 is unknown"),
    ],
)
def test_what_a_profile_does_not_have_is_refused(arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        protection(*arguments)
