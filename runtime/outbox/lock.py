"""One process per folder: an advisory lock that the kernel drops when its owner dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import DeviceError

LOCK_NAME = "lock"
TRY_AGAIN_S = 0.01
CLAIMS_LOCK = "claims.lock"
"""Held by the process that empties the outbox."""


class FolderLock:
    """Holds `folder` until `release`. DeviceError when another process holds it and goes on holding it.

    patience_s: how long another holder is waited for, on `clock`.
    """

    def __init__(self, folder: Path, name: str = LOCK_NAME, *, clock: Clock | None = None, patience_s: float = 0.0):
        self._descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        tries = 1 if clock is None else 1 + round(patience_s / TRY_AGAIN_S)
        while not self._taken():
            tries -= 1
            if not tries or clock is None:
                self.release()
                raise DeviceError(
                    f"the queue in {folder} belongs to another process",
                    hint="does another run use the same data folder? stop it, or give this run its own",
                )
            clock.sleep_until_ns(clock.now_ns() + ns(TRY_AGAIN_S))

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the folder back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_or_none(folder: Path, name: str) -> FolderLock | None:
    """The lock, or None when another process has it."""
    try:
        return FolderLock(folder, name)
    except DeviceError:
        return None
