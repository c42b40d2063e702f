"""What supervision asks of the Linux kernel and the standard library has no call for."""

from __future__ import annotations

import ctypes
import os
import signal

from cardan.runtime.process_stat import stat_field

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_GET_TID_ADDRESS = 40
CLONE_INTO_CGROUP, CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID = 1 << 33, 1 << 24, 1 << 21
CLONE3 = 435
"""Number of the system call, the same for every kind of processor."""
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


class CloneArguments(ctypes.Structure):
    """struct clone_args of linux/sched.h."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("pidfd", ctypes.c_uint64),
        ("child_tid", ctypes.c_uint64),
        ("parent_tid", ctypes.c_uint64),
        ("exit_signal", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("stack_size", ctypes.c_uint64),
        ("tls", ctypes.c_uint64),
        ("set_tid", ctypes.c_uint64),
        ("set_tid_size", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
    )


def fork_into(group: str) -> int:
    """os.fork(), but the copy is born in the control group `group` (a folder; empty: in that of this process).

    To move it there later would take the kernel 5 to 20 ms. Where the kernel cannot do it (before Linux 5.7, or where
    a filter of system calls forbids it), the copy is born here. Only for a process with one thread.
    """
    tid_address = _tid_address() if group else 0
    if not tid_address:
        return os.fork()
    try:
        descriptor = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _clone(descriptor, tid_address)
        finally:
            os.close(descriptor)
    except OSError:
        return os.fork()


def _clone(group: int, tid_address: int) -> int:
    """What os.fork() does, with another system call. The C library keeps its thread's id at `tid_address`."""
    flags = CLONE_INTO_CGROUP | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
    arguments = CloneArguments(flags=flags, child_tid=tid_address, exit_signal=signal.SIGCHLD, cgroup=group)
    python, libc = ctypes.pythonapi, ctypes.PyDLL(None, use_errno=True)
    python.PyOS_BeforeFork()
    pid = int(libc.syscall(CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)))
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return pid


def _tid_address() -> int:
    """Where the C library keeps the id of this thread, as the kernel knows it; 0 where it does not tell."""
    address = ctypes.c_uint64(0)
    if ctypes.CDLL(None).prctl(PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) != 0 or not address.value:
        return 0
    return address.value if ctypes.c_int.from_address(address.value).value == os.getpid() else 0


def child_pids() -> list[int]:
    """The processes whose parent is this one, zombies included."""
    own_pid = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _stat(pid, _PPID) == own_pid]


def thread_count() -> int:
    """How many threads this process has, Python's and others."""
    return len(os.listdir("/proc/self/task"))


def _stat(pid: int, field: int) -> int:
    """0 when the process is gone."""
    try:
        return stat_field(pid, field)
    except OSError:
        return 0


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")
