"""What the kernel knows of the wall clock: whether something keeps it right, and how wrong it may be."""

from __future__ import annotations

import ctypes
import os

TIMEX_BYTES = 208
"""sizeof(struct timex) on 64-bit Linux (linux/timex.h)."""
MAXERROR_AT, ESTERROR_AT, STATUS_AT, TAI_AT = 24, 32, 40, 160
STA_UNSYNC = 0x0040
EARLIEST_NS = 1_700_000_000_000_000_000
"""A clock before this (November 2023) was never set."""


def read_timex() -> bytes:
    """The kernel's struct timex, by adjtimex(2) that sets nothing; OSError when it does not say."""
    raw = ctypes.create_string_buffer(TIMEX_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(raw) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return raw.raw


def error_s_or_none(timex: bytes) -> float | None:
    """Estimated error of a clock that is kept right (NTP, PTP, GNSS); None when nobody keeps it right."""
    if int.from_bytes(timex[STATUS_AT : STATUS_AT + 4], "little") & STA_UNSYNC:
        return None
    return int.from_bytes(timex[ESTERROR_AT : ESTERROR_AT + 8], "little") / 1e6
