"""One process per folder: an advisory lock that the kernel drops when its owner dies."""

from __future__ import annotations

import os
from pathlib import Path

from cardan.runtime.errors import DeviceError

LOCK_NAME = "lock"


class FolderLock:
    """Holds `folder` until `release`. DeviceError when another process holds it."""

    def __init__(self, folder: Path) -> None:
        import fcntl

        self._descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise DeviceError(
                f"the queue in {folder} belongs to another process",
                hint="does another run use the same data folder? stop it, or give this run its own",
            ) from error

    def release(self) -> None:
        """Give the folder back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
