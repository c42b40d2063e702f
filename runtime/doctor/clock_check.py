"""Is the wall clock right? Nothing that drives depends on it, but what is recorded and sent is labelled with it."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import datetime, timezone

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.kernel_clock import (
    EARLIEST_NS,
    ESTERROR_AT,
    MAXERROR_AT,
    STA_UNSYNC,
    STATUS_AT,
    TAI_AT,
    read_timex,
)

TOLERATED_S = 0.1
PTP_TOLERATED_MS = 1.0


def wall(subject: Subject) -> Result:
    """The wall clock was set at all."""
    wall_ns = subject.clock.wall_ns()
    text = datetime.fromtimestamp(wall_ns / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    if wall_ns < EARLIEST_NS:
        return failed(f"it is {text}, says the clock", "let it be set: GNSS, NTP, or `date -s`; is its battery empty?")
    return passed(text)


def synchronised(subject: Subject) -> Result:
    """Something keeps the wall clock right (NTP, PTP, GNSS), as the kernel says."""
    try:
        raw = read_timex()
    except OSError as error:
        return unknown(f"adjtimex: {error.strerror}")
    status = int.from_bytes(raw[STATUS_AT : STATUS_AT + 4], "little")
    error_s = int.from_bytes(raw[ESTERROR_AT : ESTERROR_AT + 8], "little") / 1e6
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


def offset(subject: Subject) -> Result:
    """How far the wall clock is from its time server, as chrony has it, else at most, as the kernel has it."""
    try:
        command = ["chronyc", "-c", "-n", "tracking"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=1.5, check=False)
        if answer.returncode == 0:
            return judge_tracking(answer.stdout)
    except (OSError, subprocess.TimeoutExpired):
        pass
    try:
        raw = read_timex()
    except OSError as error:
        return unknown(f"adjtimex: {error.strerror}")
    if int.from_bytes(raw[STATUS_AT : STATUS_AT + 4], "little") & STA_UNSYNC:
        return unknown("nobody keeps the clock right, so nobody knows")
    worst_s = int.from_bytes(raw[MAXERROR_AT : MAXERROR_AT + 8], "little") / 1e6
    return passed(f"at most {worst_s * 1000:.0f} ms from the time server")


def judge_tracking(line: str) -> Result:
    """`chronyc -c tracking`: server and offset in seconds are the 2nd and the 5th of its fields (chronyc(1))."""
    fields = line.strip().split(",")
    try:
        server, offset_s = fields[1], float(fields[4])
    except (IndexError, ValueError):
        return unknown(f"chronyc says {line.strip()!r}")
    text = f"{offset_s * 1000:+.3f} ms from {server or 'no server'}"
    if not server or abs(offset_s) > TOLERATED_S:
        return failed(text, "is the time server in reach? `chronyc sources`; `chronyc makestep` sets the clock at once")
    return passed(text)


def ptp_offset(subject: Subject) -> Result:
    """The hardware clocks that links of the profile have run with the wall clock."""
    wanted = {link.ptp_clock: name for name, link in subject.profile.links.items() if link.ptp_clock}
    if not wanted:
        return unknown("the profile names no link with a hardware clock", "`cardan profile detect` finds them")
    try:
        tai_s = int.from_bytes(read_timex()[TAI_AT : TAI_AT + 4], "little", signed=True)
        offsets = {name: ptp_offset_ns(subject, clock) for clock, name in wanted.items()}
    except OSError as error:
        return unknown(f"{error.filename or 'adjtimex'}: {error.strerror}", "run it as root, or as the service's user")
    return judge_ptp(offsets, tai_s)


def ptp_offset_ns(subject: Subject, clock: str) -> int:
    """How far a hardware clock is ahead of the wall clock. It is read between two looks at that one."""
    device = os.open(subject.path(f"/dev/{clock}"), os.O_RDONLY | os.O_CLOEXEC)
    try:
        identity = (~device << 3) | 3  # FD_TO_CLOCKID of linux/posix-timers.h
        before_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        there_ns = time.clock_gettime_ns(identity)
        return there_ns - (before_ns + time.clock_gettime_ns(time.CLOCK_REALTIME)) // 2
    finally:
        os.close(device)


def judge_ptp(offsets_ns: dict[str, int], tai_s: int) -> Result:
    """A hardware clock may show UTC, or TAI, which is whole seconds ahead (37 since 2017)."""
    nearest = {
        name: min((ahead_ns, ahead_ns - (tai_s or 37) * NS_PER_S), key=abs) / 1e6
        for name, ahead_ns in offsets_ns.items()
    }
    text = ", ".join(f"{name} {ms:+.3f} ms" for name, ms in nearest.items())
    if any(abs(ms) > PTP_TOLERATED_MS for ms in nearest.values()):
        return failed(text, "do ptp4l and phc2sys run? `journalctl -u ptp4l -u phc2sys`")
    return passed(text)


CHECKS = (
    Check("clock.wall", "was the wall clock set?", wall),
    Check("clock.synchronised", "does something keep it right?", synchronised),
    Check("clock.offset", "how far is it from its time server?", offset),
    Check("clock.ptp-offset", "do the hardware clocks of the links run with it?", ptp_offset),
    Check("clock.ptp", "is there a hardware clock for PTP?", ptp),
)
