"""What supervision asks of the Linux kernel and the standard library has no call for."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
_PPID, _ARG_START, _ARG_END = 4, 48, 49
"""Fields of /proc/PID/stat, numbered as in proc(5)."""


def signal_on_parent_death(parent_pid: int, signal_number: int) -> bool:
    """Let the kernel send this process a signal when its parent dies; False when the parent is dead already."""
    _prctl(PR_SET_PDEATHSIG, signal_number)
    return os.getppid() == parent_pid


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, instead of process 1."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def show_as(name: str, command: str) -> None:
    """Let `ps` and `top` show this process as `name` (15 bytes), and its command line as `command`.

    The command line is written over the one the process was started with, and cut to its length.
    """
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
    start, end = _stat(os.getpid(), _ARG_START), _stat(os.getpid(), _ARG_END)
    if start and end > start:
        ctypes.memmove(start, command.encode()[: end - start - 1].ljust(end - start, b"\0"), end - start)


def child_pids() -> list[int]:
    """The processes whose parent is this one, zombies included."""
    own_pid = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _stat(pid, _PPID) == own_pid]


def thread_count() -> int:
    """How many threads this process has, Python's and others."""
    return len(os.listdir("/proc/self/task"))


def _stat(pid: int, field: int) -> int:
    """A numeric field of /proc/PID/stat; 0 when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[field - 3])


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")
