"""Process settings of a node (name, parent death, cores, scheduling, memory), each applied and read back."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
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


def lock_memory() -> str | None:
    """Keep all pages of this process in memory; what failed, or None."""
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) != 0:
        return f"memory lock: {os.strerror(ctypes.get_errno())}"
    return None
