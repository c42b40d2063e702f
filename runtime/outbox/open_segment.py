"""The segment that is being written: appended to, synced, and sealed under the name that says what is in it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cardan.runtime.disk import sync_folder, write_all
from cardan.runtime.outbox.folder import SegmentFile, open_path, sealed_path


class OpenSegment:
    """Everything up to `size` is on the disk. After an OSError nobody knows what the disk holds: only seal it then.

    acknowledged: number of the last record before this segment.
    """

    def __init__(self, folder: Path, acknowledged: int, header: bytes) -> None:
        self._folder = folder
        self._first = acknowledged + 1
        self.last = acknowledged
        self.size = 0
        self.path = open_path(folder, self._first)
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            self.append(header, acknowledged)
            sync_folder(folder)
        except OSError:
            self._close()
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            raise

    @property
    def records(self) -> int:
        """How many records are in it."""
        return self.last - self._first + 1

    @property
    def file(self) -> SegmentFile:
        """What it is when it is sealed."""
        return SegmentFile(self._first, self.last, self.size)

    def append(self, data: bytes, last: int) -> None:
        """Write and sync; on OSError the file is as before, as far as the disk still obeys."""
        try:
            write_all(self.descriptor, data)
            os.fdatasync(self.descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.size)
            raise
        self.size += len(data)
        self.last = last

    def seal(self) -> None:
        """Close and rename; without a record in it the file is removed. On OSError it keeps its name until recovery."""
        self._close()
        if not self.records:
            self.path.unlink(missing_ok=True)
            return
        os.replace(self.path, sealed_path(self._folder, self._first, self.last))
        sync_folder(self._folder)

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
