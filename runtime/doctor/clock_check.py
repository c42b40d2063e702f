"""Is the wall clock right? Nothing that drives depends on it, but what is recorded and sent is labelled with it."""

from __future__ import annotations

import ctypes
import os
from datetime import datetime, timezone

from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown

TIMEX_BYTES = 208
"""sizeof(struct timex) on 64-bit Linux (linux/timex.h)."""
ESTERROR_AT, STATUS_AT = 32, 40
STA_UNSYNC = 0x0040
TOLERATED_S = 0.1
EARLIEST_NS = 1_700_000_000_000_000_000
"""A clock before this (November 2023) was never set."""


def wall(subject: Subject) -> Result:
    """The wall clock was set at all."""
    wall_ns = subject.clock.wall_ns()
    text = datetime.fromtimestamp(wall_ns / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    if wall_ns < EARLIEST_NS:
        return failed(f"it is {text}, says the clock", "let it be set: GNSS, NTP, or `date -s`; is its battery empty?")
    return passed(text)


def synchronised(subject: Subject) -> Result:
    """Something keeps the wall clock right (NTP, PTP, GNSS), as the kernel says."""
    raw = ctypes.create_string_buffer(TIMEX_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(raw) < 0:
        return unknown(f"adjtimex: {os.strerror(ctypes.get_errno())}")
    status = int.from_bytes(raw.raw[STATUS_AT : STATUS_AT + 4], "little")
    error_s = int.from_bytes(raw.raw[ESTERROR_AT : ESTERROR_AT + 8], "little") / 1e6
    if status & STA_UNSYNC:
        return failed("nobody keeps the clock right", "start chrony, systemd-timesyncd, or ptp4l with phc2sys")
    text = f"within about {error_s * 1000:.1f} ms"
    if error_s > TOLERATED_S:
        return failed(text, "has the time server been out of reach? `chronyc tracking`")
    return passed(text)


def ptp(subject: Subject) -> Result:
    """There is a hardware clock for PTP."""
    found = sorted(path.name for path in subject.path("/sys/class/ptp").glob("ptp*"))
    return passed(", ".join(found)) if found else unknown("no hardware clock for PTP")


CHECKS = (
    Check("clock.wall", "was the wall clock set?", wall),
    Check("clock.synchronised", "does something keep it right?", synchronised),
    Check("clock.ptp", "is there a hardware clock for PTP?", ptp),
)
