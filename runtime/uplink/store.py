"""Where objects go: the protocol of a store, and the plain folder (a disk, a share, a test)."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.outbox.disk import make_folder_durably, sync_folder, write_and_sync

NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK}
"""What a file system without hard links answers (FAT, exFAT, some shares)."""


class StoreError(CardanError):
    """The store cannot be reached, or it refuses; the object may be tried again."""


class Store(Protocol):
    """Immutable objects by name. Names have `/`; there is no overwriting and no deleting."""

    url: str

    def create(self, name: str, data: bytes) -> bool:
        """Make an object, durable and verified when this returns; False when the name was taken already.

        Whole or not at all, whatever is cut. StoreError when it cannot be made now.
        """

    def read(self, name: str) -> bytes:
        """The bytes of an object. StoreError when it cannot be read now."""


def open_store(url: str, default: Path) -> Store:
    """The store that `url` names; an empty one is the folder `default`, which is made."""
    if not url:
        make_folder_durably(default)
        return FolderStore(default)
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ConfigError(f'"{url}" is no store that cardan knows', hint="write file:///an/absolute/path")
    return FolderStore(Path(unquote(parts.path)))


class FolderStore:
    """A store in a folder that exists: it is never made here, so a disk that is not mounted is not filled up under."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = root.as_uri()

    def create(self, name: str, data: bytes) -> bool:
        path = self._root / name
        try:
            if not self._root.is_dir():
                raise StoreError(f"there is no store at {self._root}", hint="is the disk mounted? else make the folder")
            make_folder_durably(path.parent)
            if path.exists():
                sync_folder(path.parent)  # who made it may have been killed before this
                return False
            return self._create(path, data)
        except OSError as error:
            raise StoreError(f"the store at {self._root} refuses {name}: {error.strerror}") from error

    def _create(self, path: Path, data: bytes) -> bool:
        partial = path.with_name(f".{path.name}.partial")
        write_and_sync(partial, data)
        try:
            if sha256(partial.read_bytes()).digest() != sha256(data).digest():
                raise StoreError(
                    f"the store at {self._root} gives back other bytes than it was given", hint="check its disk"
                )
            return _name_or_false(partial, path)
        finally:
            partial.unlink(missing_ok=True)
            sync_folder(path.parent)

    def read(self, name: str) -> bytes:
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise StoreError(f"{name} cannot be read from {self._root}: {error.strerror}") from error


def _name_or_false(partial: Path, path: Path) -> bool:
    """Give a complete file its name; False when the name is taken."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if path.exists():
            return False
        os.replace(partial, path)
    return True
