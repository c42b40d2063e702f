"""Memory for copies of pictures, used again: fresh memory is zeroed by the kernel, which costs as much as a copy."""

from __future__ import annotations

import sys

import numpy as np

MOST = 16
"""Copies that are kept for use: what waits for the disk at a time. Beyond them each copy has memory of its own."""
FREE = 2
"""References to a copy that only the list below, and the question itself, know of."""


class PixelMemory:
    """Copies pictures. Not for two threads; the copies may be given up in any."""

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []

    def copy(self, image: np.ndarray) -> memoryview:
        """The bytes of `image` (row by row), which stay as they are for as long as somebody holds the view."""
        # numpy lets other threads go on while it copies; bytes() and `tobytes` do not
        memory = self._memory(image.nbytes)
        np.copyto(memory.reshape(image.shape), image)
        return memory.data

    def _memory(self, size: int) -> np.ndarray:
        for at in range(len(self._kept)):
            if self._kept[at].nbytes == size and sys.getrefcount(self._kept[at]) <= FREE:
                return self._kept[at]
        fresh = np.empty(size, np.uint8)
        if len(self._kept) < MOST:
            self._kept.append(fresh)
        return fresh
