"""Process settings of a node (name, parent death, cores, scheduling, memory, timers), applied, and read back later."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.node.group import is_member
from cardan.runtime.vitals import NodeVitals

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_TIMERSLACK = 29
PR_GET_TIMERSLACK = 30
SESSION_WEIGHT = Path("/proc/self/autogroup")
MCL_CURRENT = 1
MCL_FUTURE = 2


def die_with_parent(parent_pid: int) -> bool:
    """Let the kernel kill this process when its parent dies; False when the parent is dead already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent_pid


def name_process(name: str) -> None:
    """The name that `ps` and `top` show (15 bytes)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def apply_cores(cores: list[int]) -> str | None:
    """Keep this process on `cores` (empty = leave it); what differs from the wish, or None."""
    if not cores:
        return None
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        return f"cores {cores}: {error.strerror}"
    actual = sorted(os.sched_getaffinity(0))
    return None if actual == sorted(cores) else f"cores: wanted {cores}, have {actual}"


def apply_fifo(priority: int) -> str | None:
    """Run this process under SCHED_FIFO at `priority` (1..99); what differs from the wish, or None."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"SCHED_FIFO {priority}: {error.strerror}"
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK != os.SCHED_FIFO:
        return f"SCHED_FIFO {priority}: the kernel kept another policy"
    return None


def apply_nice(value: int) -> str | None:
    """Come before (below 0) or behind others that want a processor; what differs from the wish, or None.

    Where the kernel shares the processors among sessions first, a process competes within its session only: this one
    leads one of its own, which is weighed likewise. A process of a control group with a share of its own is not
    concerned, and a kernel that is asked too often (EAGAIN) is not asked again.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, value)
    except OSError as error:
        return f"nice {value}: {error.strerror}"
    with suppress(OSError):
        SESSION_WEIGHT.write_text(str(value))
    actual = os.getpriority(os.PRIO_PROCESS, 0)
    return None if actual == value else f"nice: wanted {value}, have {actual}"


def lock_memory() -> str | None:
    """Keep all pages of this process in memory; what failed, or None."""
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) != 0:
        return f"memory lock: {os.strerror(ctypes.get_errno())}"
    return None


def sharpen_timers() -> None:
    """Let the kernel end a sleep as soon as it is over (1 ns of slack), not up to 50 us later with other timers."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)


def read_back(vitals: NodeVitals, cores: list[int], group: str, now_ns: int) -> None:
    """Ask the kernel what this process has, and leave it in the vitals.

    cores: those of the plan, empty = any. group: folder of the control group it was to join, empty = none.
    """
    words, allowed = vitals.words, os.sched_getaffinity(0)
    words[NodeVitals.POLICY] = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    words[NodeVitals.PRIORITY] = os.sched_getparam(0).sched_priority
    words[NodeVitals.NICE] = os.getpriority(os.PRIO_PROCESS, 0)
    words[NodeVitals.CORES] = len(allowed)
    words[NodeVitals.STRAY_CORES] = len(allowed.difference(cores)) if cores else 0
    words[NodeVitals.LOCKED_KIB] = _locked_kib()
    words[NodeVitals.TIMER_SLACK_NS] = ctypes.CDLL(None).prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)
    names = named_threads(MonotonicClock())
    words[NodeVitals.THREADS] = len(names)
    words[NodeVitals.IN_GROUP] = int(is_member(group))
    words[NodeVitals.HELPERS] = sum(not name.startswith(ZEROMQ_THREAD) for name in names) - 1
    words[NodeVitals.READ_BACK_NS] = now_ns


ZEROMQ_THREAD = "ZMQbg/"
"""ZeroMQ names its own two threads so; they never run Python."""


def named_threads(clock: Clock) -> list[str]:
    """`thread_names` once new threads have named themselves: until then they bear the name of the first one."""
    for _ in range(20):
        names = thread_names()
        if names.count(Path("/proc/self/comm").read_text().strip()) <= 1:
            break
        clock.sleep_until_ns(clock.now_ns() + 1_000_000)
    return names


def thread_names() -> list[str]:
    """The name of every thread of this process."""
    names = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            names.append((thread / "comm").read_text().strip())
        except OSError:  # it has ended meanwhile
            continue
    return names


def _locked_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmLck:"):
            return int(line.split()[1])
    return 0
