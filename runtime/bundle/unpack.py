"""Opening a bundle: checked, bounded, and only once; commands then look into the folder as into a data folder."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cardan.runtime.bundle.header import NAME, read_header_or_none
from cardan.runtime.errors import RunError

LARGEST = 4 << 30
"""Of everything in a bundle, unpacked."""
MOST_FILES = 20_000
KEPT = 8
"""Opened bundles that are kept."""
HINT = "was it copied completely? make it again with `cardan bundle make`"
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
)
"""What `zipfile` raises about files that are damaged."""


def opened(file: Path) -> Path:
    """The folder with what is in a bundle; a folder that is an opened bundle is taken as it is.

    RunError when it is none, or nothing of it can be read. Members that are damaged are left out.
    """
    if file.is_dir():
        return _require_header(file, file)
    folder = _cache() / _key(file)
    if read_header_or_none(folder) is None:
        _unpack(file, folder)
    os.utime(folder)
    _prune(folder)
    return _require_header(folder, file)


def _require_header(folder: Path, named: Path) -> Path:
    if read_header_or_none(folder) is None:
        raise RunError(f"{named} is no bundle of cardan: it has no readable {NAME}", hint=HINT)
    return folder


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "cardan" / "bundles"


def _key(file: Path) -> str:
    """A name that is another one when the file is: of its path, size and time, and of its two ends."""
    try:
        status = file.stat()
        with file.open("rb") as opened_file:
            first = opened_file.read(4096)
            opened_file.seek(max(0, status.st_size - 4096))
            last = opened_file.read(4096)
    except OSError as error:
        raise RunError(f"cannot read the bundle {file}: {error.strerror}", hint="is the path right?") from error
    parts = f"{file.resolve()}:{status.st_size}:{status.st_mtime_ns}".encode()
    return hashlib.sha256(parts + first + last).hexdigest()[:16]


def _unpack(file: Path, folder: Path) -> None:
    staged = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
    try:
        staged.mkdir(parents=True)
        with zipfile.ZipFile(file) as archive:
            for member in _members(archive):
                _take(archive, member, staged)
        shutil.rmtree(folder, ignore_errors=True)
        staged.replace(folder)
    except BROKEN as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise RunError(f"{file} cannot be opened as a bundle: {said}", hint=HINT) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _members(archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """Files with names that stay inside; ValueError when they are too many or too large together."""
    members = archive.infolist()
    if len(members) > MOST_FILES or sum(member.file_size for member in members) > LARGEST:
        raise ValueError(f"more than {MOST_FILES} files or {LARGEST >> 30} GiB")
    for member in members:
        path = PurePosixPath(member.filename)
        inside = path.parts and not path.is_absolute() and ".." not in path.parts and "\\" not in member.filename
        if inside and not member.is_dir() and "\0" not in member.filename:
            yield member


def _take(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Unpack one member, never more of it than it says; a damaged one is left out."""
    target = folder / member.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("xb") as file:
            left = member.file_size
            while left > 0 and (data := source.read(min(left, 1 << 20))):
                file.write(data)
                left -= len(data)
    except BROKEN:
        target.unlink(missing_ok=True) if target.is_file() else None


def _prune(newest: Path) -> None:
    """Forget the bundles that were looked at longest ago."""
    try:
        folders = sorted((path for path in newest.parent.iterdir() if path != newest), key=lambda p: -p.stat().st_mtime)
    except OSError:
        return
    for path in folders[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
