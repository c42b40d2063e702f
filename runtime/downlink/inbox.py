"""What came from outside and waits to be judged: one file for each message, by its hash, so that none waits twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cardan.runtime.disk import make_folder_durably, sync_folder, write_durably

MOST_WAITING = 64
LONGEST_BYTES = 128 << 10
SUFFIX = ".asked"


class Inbox:
    """A folder that `live` (or a person with a file) fills and the node `downlink` empties."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "downlink" / "inbox"

    def put(self, document: bytes) -> bool:
        """Keep it, durable when this returns; False when there is no room or it is too long. OSError: the disk."""
        if len(document) > LONGEST_BYTES:
            return False
        path = self.folder / f"{hashlib.sha256(document).hexdigest()[:32]}{SUFFIX}"
        if path.exists():
            return True
        if len(self._names()) >= MOST_WAITING:
            return False
        make_folder_durably(self.folder)
        write_durably(path, document)
        return True

    def waiting(self) -> list[Path]:
        """What waits, in no order that means anything."""
        return [self.folder / name for name in self._names()]

    def remove(self, path: Path) -> None:
        """It was judged, and what was decided is durable."""
        path.unlink(missing_ok=True)
        sync_folder(self.folder)

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in self.folder.iterdir() if path.suffix == SUFFIX)
        except FileNotFoundError:
            return []
