"""Disk space that is taken in good time, so that critical records find some when the disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

RESERVE_NAME = "reserve"


class Reserve:
    """A file of `size` bytes that are really allocated; given up at once, taken back when there is room again."""

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / RESERVE_NAME
        self._size = size

    @property
    def held(self) -> int:
        """Bytes that are taken now."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def take(self) -> None:
        """Take the space, if there is room for it and as much again; else leave it to whoever needs it now."""
        if self.held == self._size:
            return
        with suppress(OSError):
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < 2 * self._size:
                return
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                if self._size:
                    os.posix_fallocate(descriptor, 0, self._size)
                os.ftruncate(descriptor, self._size)
            except OSError:
                os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def give(self) -> bool:
        """Free the space; True when there was some. It is free when this returns, also in the file system's journal."""
        if not self.held:
            return False
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.ftruncate(descriptor, 0)
            os.fsync(descriptor)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True
