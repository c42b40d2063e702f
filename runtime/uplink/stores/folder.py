"""A store in a plain folder: a disk, a share, a test."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cardan.runtime.disk import give_name, make_folder_durably, sync_folder, write_and_sync
from cardan.runtime.uplink.stores.store import Gate, Outcome, SealedObject, StoreError, open_gate

PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
"""What may be better the next time."""


class FolderStore:
    """A store in a folder that exists: it is never made here, so a disk that is not mounted is not filled up under."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = root.as_uri()

    def put(self, item: SealedObject, gate: Gate = open_gate) -> Outcome:
        path = self._root / item.name
        try:
            self._check()
            make_folder_durably(path.parent)
            if path.exists():
                sync_folder(path.parent)  # who made it may have been killed before this
                return self._compared(path, item)
            gate(len(item.data))
            return Outcome.MADE if self._made(path, item) else self._compared(path, item)
        except OSError as error:
            raise StoreError(
                f"the store at {self._root} refuses {item.name}: {error.strerror}",
                kind="busy" if error.errno in PASSING else "refused",
            ) from error

    def _check(self) -> None:
        if not self._root.is_dir():
            raise StoreError(f"there is no store at {self._root}", hint="is the disk mounted? else make the folder")

    def names(self) -> Iterator[str]:
        self._check()
        for path in self._root.rglob("*"):
            if path.is_file() and not path.name.startswith("."):  # a dot: it is being written
                yield path.relative_to(self._root).as_posix()

    def read(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise StoreError(f"{name} cannot be read from {self._root}: {error.strerror}") from error

    def _made(self, path: Path, item: SealedObject) -> bool:
        partial = path.with_name(f".{path.name}.partial")
        write_and_sync(partial, item.data)
        try:
            if _hash_of(partial) != item.sha256:
                raise StoreError(
                    f"the store at {self._root} gives back other bytes than it was given",
                    kind="busy",
                    hint="check its disk",
                )
            return give_name(partial, path)
        finally:
            partial.unlink(missing_ok=True)
            sync_folder(path.parent)

    def _compared(self, path: Path, item: SealedObject) -> Outcome:
        return Outcome.SAME if item.is_hash(_hash_of(path)) else Outcome.OTHER


def _hash_of(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
