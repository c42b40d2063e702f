"""Let the disk begin early with what was written, so that a sync finds little left to wait for."""

from __future__ import annotations

import ctypes

SYNC_FILE_RANGE_WRITE = 2
"""Of <linux/fs.h>: begin to write the dirty pages, wait for nothing."""
FROM_BYTES = 1 << 20
"""Of one write; less than that is not worth a request to the disk of its own."""


def begin_write_back(descriptor: int, start: int, size: int) -> None:
    """Begin with these bytes of a file; a file system that cannot waits for the sync. No error is lost by it."""
    if size >= FROM_BYTES:
        place = ctypes.c_int64(start), ctypes.c_int64(size)
        ctypes.CDLL(None).sync_file_range(descriptor, *place, SYNC_FILE_RANGE_WRITE)
