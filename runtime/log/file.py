"""A log file with a quota: at its size limit it becomes the older of two, and a new one begins."""

from __future__ import annotations

import os
from pathlib import Path

from cardan.runtime.log.record import OLDER

LIMIT_BYTES = 8 << 20
"""Of one file; there are two of each writer, so a node that babbles costs 16 MiB, and nobody else's lines."""
LOOK_EVERY = 64
"""Lines between two looks at the size: others may write to the same descriptor."""


class LogFile:
    """One writer's file. A disk that takes no line stops nothing: `lost` counts them.

    own_output: the file is also what this process prints to (descriptors 1 and 2).
    """

    def __init__(self, path: Path, *, own_output: bool = False, limit_bytes: int = LIMIT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._own_output = own_output
        self._limit_bytes = limit_bytes
        self._descriptor = self._open()
        self._lines = 0
        self.lost = 0

    def append(self, line: bytes) -> None:
        """Write one whole line."""
        try:
            self._lines += 1
            if self._lines % LOOK_EVERY == 1:
                self._turn_over()
            os.write(self._descriptor, line)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Lines that come later are lost."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        if self._own_output:
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
        return descriptor

    def _turn_over(self) -> None:
        if os.fstat(self._descriptor).st_size < self._limit_bytes:
            return
        os.replace(self._path, self._path.with_name(self._path.name + OLDER))
        old, self._descriptor = self._descriptor, self._open()
        os.close(old)
