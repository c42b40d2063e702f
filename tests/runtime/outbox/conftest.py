"""A folder in memory, and a kill at any system call: killing a process does not depend on the disk."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
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


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """The kernel closes what a killed process had open; here somebody else must, or descriptors run out."""
    before = descriptors()
    yield
    gc.collect()  # sockets and files that still have an object close themselves
    for descriptor in descriptors() - before:
        with suppress(OSError):
            os.close(descriptor)


def descriptors() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}


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
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            DyingAt(patch, count)
            life()

    return kill
