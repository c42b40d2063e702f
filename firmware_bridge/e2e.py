"""AUTOSAR end-to-end protection, profiles 1, 2, 4, 5, 7 and 11: CRC and counter of a message, and their check.

Layouts and formulas: AUTOSAR FO "E2E Protocol Specification" (PRS 849). Byte offsets are those of the profile's
header inside the message. A protection never changes the message's length, and never touches other bits than its own.
The receiving side has two parts: `matches` here tells whether the bytes are as they were sent; `counters` tells from
the counter whether messages were lost, repeated or mixed up. Nothing here does I/O or knows a bus.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

CRC8_SAE_J1850 = 0x1D
CRC8_H2F = 0x2F
CRC32_P4_REFLECTED = 0xC8DF352F
"""0xF4ACFB13, bit-reversed."""
CRC64_ECMA_REFLECTED = 0xC96C5795D7870F42
"""0x42F0E1EBA9EA3693, bit-reversed."""

DATA_ID_MODES_01 = ("both", "alternating", "low", "nibble")
DATA_ID_MODES_11 = ("both", "nibble")


class Protection(Protocol):
    """CRC and counter of one message."""

    @property
    def modulus(self) -> int:
        """The counter runs 0 .. modulus - 1; 0 for a protection without a counter."""

    @property
    def minimum_length(self) -> int:
        """Fewest bytes that a protected message has."""

    def protect(self, data: bytearray, counter: int) -> None:
        """Write `counter` and then the CRC over the message into `data`."""

    def matches(self, data: bytes) -> bool:
        """True when the CRC (and header) in `data` is the one that its bytes demand."""

    def counter(self, data: bytes) -> int:
        """The counter in `data`."""


@dataclass(frozen=True, slots=True)
class Profile01:
    """CRC-8 SAE J1850 in byte `offset`, counter 0..14 in the low half of the next byte. Up to 32 bytes.

    mode: how the 16-bit data id enters the CRC: both bytes, alternating by counter, low byte only, or low byte and
    the next half byte, which is then sent in the message ("nibble").
    """

    data_id: int
    mode: str = "both"
    offset: int = 0
    _starts: bytes = field(init=False, repr=False, compare=False)
    """CRC over the data id alone, for each counter."""
    modulus = 15

    def __post_init__(self) -> None:
        _check_range("data_id", self.data_id, 0x0FFF if self.mode == "nibble" else 0xFFFF)
        _check_offset(self.offset)
        if self.mode not in DATA_ID_MODES_01:
            raise ValueError(f'data id mode is "{self.mode}", expected one of {", ".join(DATA_ID_MODES_01)}')
        # The library's CRC-8 starts at 0xFF and ends inverted, profile 1 starts and ends at 0x00.
        starts = bytes(crc8(self._id_bytes(counter), 0x00) for counter in range(16))
        object.__setattr__(self, "_starts", starts)

    @property
    def minimum_length(self) -> int:
        return self.offset + 2

    def protect(self, data: bytearray, counter: int) -> None:
        header = data[self.offset + 1]
        if self.mode == "nibble":
            data[self.offset + 1] = (self.data_id >> 8) << 4 | counter
        else:
            data[self.offset + 1] = (header & 0xF0) | counter
        data[self.offset] = self._crc(data)

    def matches(self, data: bytes) -> bool:
        header = data[self.offset + 1]
        if header & 0x0F == 0x0F or (self.mode == "nibble" and header >> 4 != self.data_id >> 8):
            return False
        return data[self.offset] == self._crc(data)

    def counter(self, data: bytes) -> int:
        return data[self.offset + 1] & 0x0F

    def _crc(self, data: bytes | bytearray) -> int:
        at = self.offset
        covered = bytes(data[:at]) + data[at + 1 :] if at else data[1:]
        return crc8(covered, self._starts[data[at + 1] & 0x0F])

    def _id_bytes(self, counter: int) -> bytes:
        low, high = self.data_id & 0xFF, self.data_id >> 8
        if self.mode == "both":
            return bytes((low, high))
        if self.mode == "alternating":
            return bytes((low if counter % 2 == 0 else high,))
        return bytes((low,)) if self.mode == "low" else bytes((low, 0))


@dataclass(frozen=True, slots=True)
class Profile02:
    """CRC-8 0x2F in byte 0, counter 0..15 in the low half of byte 1; the counter picks one of 16 data ids."""

    data_ids: bytes
    modulus = 16
    minimum_length = 2

    def __post_init__(self) -> None:
        if len(self.data_ids) != 16:
            raise ValueError(f"profile 2 needs 16 data ids of one byte, got {len(self.data_ids)}")

    def protect(self, data: bytearray, counter: int) -> None:
        data[1] = (data[1] & 0xF0) | counter
        data[0] = self._crc(data)

    def matches(self, data: bytes) -> bool:
        return data[0] == self._crc(data)

    def counter(self, data: bytes) -> int:
        return data[1] & 0x0F

    def _crc(self, data: bytes | bytearray) -> int:
        data_id = self.data_ids[data[1] & 0x0F]
        return crc8(bytes((*data[1:], data_id)), 0xFF, CRC8_H2F) ^ 0xFF


@dataclass(frozen=True, slots=True)
class Profile04:
    """Header of 12 bytes, big-endian: length (2), counter (2), data id (4), CRC-32 P4 (4)."""

    data_id: int
    offset: int = 0
    modulus = 0x1_0000

    def __post_init__(self) -> None:
        _check_range("data_id", self.data_id, 0xFFFF_FFFF)
        _check_offset(self.offset)

    @property
    def minimum_length(self) -> int:
        return self.offset + 12

    def protect(self, data: bytearray, counter: int) -> None:
        at = self.offset
        data[at : at + 8] = self._header(len(data), counter)
        data[at + 8 : at + 12] = self._crc(data)

    def matches(self, data: bytes) -> bool:
        at = self.offset
        header = self._header(len(data), self.counter(data))
        return data[at : at + 8] == header and data[at + 8 : at + 12] == self._crc(data)

    def counter(self, data: bytes) -> int:
        return int.from_bytes(data[self.offset + 2 : self.offset + 4], "big")

    def _header(self, length: int, counter: int) -> bytes:
        return length.to_bytes(2, "big") + counter.to_bytes(2, "big") + self.data_id.to_bytes(4, "big")

    def _crc(self, data: bytes | bytearray) -> bytes:
        covered = bytes(data[: self.offset + 8]) + data[self.offset + 12 :]
        return crc32_p4(covered).to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Profile05:
    """Header of 3 bytes: CRC-16 CCITT (2, little-endian), counter 0..255 (1). The data id enters the CRC last.

    CRC-16 CCITT: polynomial 0x1021 (what the library calls hqx), start 0xFFFF, no final inversion.
    """

    data_id: int
    offset: int = 0
    _id_bytes: bytes = field(init=False, repr=False, compare=False)
    modulus = 256

    def __post_init__(self) -> None:
        _check_range("data_id", self.data_id, 0xFFFF)
        _check_offset(self.offset)
        object.__setattr__(self, "_id_bytes", self.data_id.to_bytes(2, "little"))

    @property
    def minimum_length(self) -> int:
        return self.offset + 3

    def protect(self, data: bytearray, counter: int) -> None:
        data[self.offset + 2] = counter
        data[self.offset : self.offset + 2] = self._crc(data)

    def matches(self, data: bytes) -> bool:
        return data[self.offset : self.offset + 2] == self._crc(data)

    def counter(self, data: bytes) -> int:
        return data[self.offset + 2]

    def _crc(self, data: bytes | bytearray) -> bytes:
        at = self.offset
        crc = binascii.crc_hqx(data[at + 2 :], binascii.crc_hqx(data[:at], 0xFFFF))
        return binascii.crc_hqx(self._id_bytes, crc).to_bytes(2, "little")


@dataclass(frozen=True, slots=True)
class Profile07:
    """Header of 20 bytes, big-endian: CRC-64 (8), length (4), counter (4), data id (4)."""

    data_id: int
    offset: int = 0
    modulus = 0x1_0000_0000

    def __post_init__(self) -> None:
        _check_range("data_id", self.data_id, 0xFFFF_FFFF)
        _check_offset(self.offset)

    @property
    def minimum_length(self) -> int:
        return self.offset + 20

    def protect(self, data: bytearray, counter: int) -> None:
        at = self.offset
        data[at + 8 : at + 20] = self._header(len(data), counter)
        data[at : at + 8] = self._crc(data)

    def matches(self, data: bytes) -> bool:
        at = self.offset
        header = self._header(len(data), self.counter(data))
        return data[at + 8 : at + 20] == header and data[at : at + 8] == self._crc(data)

    def counter(self, data: bytes) -> int:
        return int.from_bytes(data[self.offset + 12 : self.offset + 16], "big")

    def _header(self, length: int, counter: int) -> bytes:
        return length.to_bytes(4, "big") + counter.to_bytes(4, "big") + self.data_id.to_bytes(4, "big")

    def _crc(self, data: bytes | bytearray) -> bytes:
        covered = bytes(data[: self.offset]) + data[self.offset + 8 :]
        return crc64_ecma(covered).to_bytes(8, "big")


def profile_11(data_id: int, mode: str = "nibble", offset: int = 0) -> Profile01:
    """Profile 11: profile 1, for messages whose length may change, in its modes "both" and "nibble" only."""
    if mode not in DATA_ID_MODES_11:
        raise ValueError(f'data id mode is "{mode}", expected one of {", ".join(DATA_ID_MODES_11)}')
    return Profile01(data_id, mode, offset)


def _profile_02(data_id: int) -> Profile02:
    """Profile 2 with 16 data ids derived from one number, so that a DBC attribute can hold it."""
    _check_range("data_id", data_id, 0xFFFF)
    return Profile02(bytes((data_id + step * 17) & 0xFF for step in range(16)))


PROFILES: dict[int, Callable[..., Protection]] = {
    1: Profile01,
    2: _profile_02,
    4: Profile04,
    5: Profile05,
    7: Profile07,
    11: profile_11,
}
"""Each profile from one data id, in its default mode."""


def protection(profile: int, data_id: int, mode: str = "", offset: int = 0, data_ids: str = "") -> Protection:
    """The protection of AUTOSAR E2E `profile`; ValueError names what exists.

    mode: of the data id, for profiles 1 and 11; empty = the default one. offset: bytes before the header; profile 2 has
    none. data_ids: for profile 2, its 16 data ids as 32 hex digits; empty = derived from `data_id`.
    """
    if profile not in PROFILES:
        raise ValueError(f"E2E profile {profile} is unknown, expected one of {', '.join(map(str, PROFILES))}")
    if profile == 2:
        if offset or mode:
            raise ValueError("E2E profile 2 has neither an offset nor a data id mode")
        return Profile02(bytes.fromhex(data_ids)) if data_ids else _profile_02(data_id)
    if data_ids or (mode and profile not in (1, 11)):
        raise ValueError(f"E2E profile {profile} has no {'list of data ids' if data_ids else 'data id mode'}")
    options: dict[str, str | int] = {"mode": mode} if mode else {}
    return PROFILES[profile](data_id, offset=offset, **options)


def _check_range(name: str, value: int, maximum: int) -> None:
    if not 0 <= value <= maximum:
        raise ValueError(f"{name} is {value}, expected 0 to {maximum}")


def _check_offset(offset: int) -> None:
    if offset < 0:
        raise ValueError(f"offset is {offset}, expected 0 or more")


@cache
def _table_msb_first_8(polynomial: int) -> bytes:
    table = bytearray(256)
    for index in range(256):
        crc = index
        for _ in range(8):
            crc = (crc << 1) ^ polynomial if crc & 0x80 else crc << 1
        table[index] = crc & 0xFF
    return bytes(table)


@cache
def _table_lsb_first(polynomial: int) -> tuple[int, ...]:
    table = []
    for index in range(256):
        crc = index
        for _ in range(8):
            crc = (crc >> 1) ^ polynomial if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


def crc8(data: bytes | bytearray, start: int, polynomial: int = CRC8_SAE_J1850) -> int:
    """CRC-8, most significant bit first, without a final inversion; `start` continues an earlier one."""
    table = _table_msb_first_8(polynomial)
    crc = start
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def crc32_p4(data: bytes) -> int:
    """CRC-32 of E2E profile 4: polynomial 0xF4ACFB13 reflected, start and final inversion 0xFFFFFFFF."""
    return _reflected(data, _table_lsb_first(CRC32_P4_REFLECTED), 0xFFFF_FFFF)


def crc64_ecma(data: bytes) -> int:
    """CRC-64 of E2E profile 7 (CRC-64/XZ): start and final inversion all ones."""
    return _reflected(data, _table_lsb_first(CRC64_ECMA_REFLECTED), 0xFFFF_FFFF_FFFF_FFFF)


def _reflected(data: bytes, table: tuple[int, ...], ones: int) -> int:
    crc = ones
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ ones
