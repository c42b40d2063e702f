"""Files that survive: complete writes, replacement in one step, and folders that remember."""

from __future__ import annotations

import errno
import os
from pathlib import Path

NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK}
"""What a file system without hard links answers (FAT, exFAT, some shares)."""


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte: the kernel may take fewer than it is given, above all when the disk is nearly full."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def replace_file(path: Path, data: bytes) -> None:
    """Make `path` hold `data` in one step for whoever reads it; not durable, for what is written again soon."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Make `path` hold `data` in one step: after a power cut it holds either the old content or the new."""
    new = path.with_name(f".{path.name}.new")
    write_and_sync(new, data)
    os.replace(new, path)
    sync_folder(path.parent)


def give_name(hidden: Path, path: Path) -> bool:
    """Let a file that nobody knows of yet be `path` from now on; False when that name is taken, and it stays hidden."""
    try:
        os.link(hidden, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if path.exists():
            return False
        os.replace(hidden, path)
        return True
    hidden.unlink()
    return True


def write_and_sync(path: Path, data: bytes | memoryview) -> None:
    """Write a file and bring its content to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        write_all(descriptor, data)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder_durably(folder: Path) -> None:
    """Make `folder` and what it lies in, so that a power cut does not forget it."""
    if folder.is_dir():
        return
    make_folder_durably(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
