"""Up to which record the open segment is on the disk: eight bytes beside it, for those who read while it is written.

It is written after the fdatasync and never synced itself, so after a power cut it may be too low, but never too high.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

SYNCED_NAME = "synced"
_MARK = struct.Struct("<QI")


class SyncedMark:
    """The mark of one queue, kept by the process that writes the queue."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / SYNCED_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, seq: int) -> None:
        """Every record up to `seq` is on the disk. A disk that refuses makes readers wait for the seal."""
        number = seq.to_bytes(8, "little")
        with suppress(OSError):
            os.pwrite(self._descriptor, number + zlib.crc32(number).to_bytes(4, "little"), 0)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_synced(folder: Path) -> int:
    """The mark of a queue's folder; 0 when there is none that can be read."""
    try:
        data = (folder / SYNCED_NAME).read_bytes()
        seq, crc = _MARK.unpack(data)
    except (OSError, struct.error):
        return 0
    return int(seq) if crc == zlib.crc32(data[:8]) else 0
