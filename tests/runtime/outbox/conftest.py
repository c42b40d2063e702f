"""A folder in memory, and a kill at any system call: killing a process does not depend on the disk."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MEMORY = Path("/dev/shm")
CALLS = ("open", "write", "pwrite", "fdatasync", "fsync", "replace", "rename", "unlink", "link", "ftruncate", "mkdir")

Life = Callable[[], None]


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """Like tmp_path, but in shared memory where there is some: thousands of fsyncs would be slow."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="cardan-test-") as folder:
        yield Path(folder)


class Killed(BaseException):
    """The process is gone; not even `finally` does anything from here."""


class DyingAt:
    """Lets `count` system calls through, then kills: the one that follows, and every later one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.left = count
        for name in CALLS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Killed
            return call(*arguments, **named)

        return counted


@pytest.fixture
def calls_of() -> Callable[[Life], int]:
    """How many system calls that touch files a life makes."""

    def count(life: Life) -> int:
        with pytest.MonkeyPatch.context() as patch:
            dying = DyingAt(patch, 10**6)
            life()
            return 10**6 - dying.left

    return count


@pytest.fixture
def killed_at() -> Callable[[int, Life], None]:
    """Lives until so many system calls are made."""

    def kill(count: int, life: Life) -> None:
        before = open_files()
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            DyingAt(patch, count)
            life()
        for descriptor in open_files() - before:
            os.close(descriptor)

    return kill


def open_files() -> set[int]:
    """Files and folders that are open: with a process the kernel closes them, here nobody else does."""
    return {number for number in map(int, os.listdir("/proc/self/fd")) if is_file(number)}


def is_file(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False  # that of the listing itself
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
