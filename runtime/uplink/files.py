"""Whole files for the store: clips of the recorder, bundles, whatever is too large for a record.

Whoever hands a file over says for which purpose it was kept; nobody looks into it. It lies in `uplink/files` until the
store has it, also over power cuts:

    ID.data    the file itself, a link to it where the file system can
    ID.json    what was said about it; a file is handed over when this is there
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cardan.runtime.clock import NS_PER_S, Clock
from cardan.runtime.disk import make_folder_durably, sync_folder, write_durably
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.names import Name
from cardan.runtime.uplink.objects import LAYOUT

if TYPE_CHECKING:
    from cardan.runtime.uplink.parcels import Sealed

MOST_BYTES = 4 << 30
"""Of all files that wait; then no more are taken."""
FOLDERS = {".mcap": ("clips", "application/octet-stream")}
OTHER_FOLDER = ("files", "application/octet-stream")

_SAFE = re.compile(r"[^A-Za-z0-9._-]")


class FileNote(msgspec.Struct, frozen=True, kw_only=True):
    """What was said about a file."""

    name: str
    """As it is called at the store, behind its folders."""
    kind: int
    """RecordClass."""
    purposes: tuple[str, ...]
    size: int
    sha256: str
    wall_ns: int
    """When it was handed over."""


def files_dir(uplink_dir: Path) -> Path:
    """Where files wait."""
    return uplink_dir / "files"


def hand_over(
    uplink_dir: Path,
    path: Path,
    *,
    kind: RecordClass,
    purposes: tuple[str, ...],
    clock: Clock,
    most_bytes: int = MOST_BYTES,
) -> FileNote:
    """Keep a finished file until the store has it; on the disk when this returns. The file itself may go then.

    purposes: all that it was kept for. ConfigError when it is no file, DeviceError when there is no room.
    """
    folder = files_dir(uplink_dir)
    make_folder_durably(folder)
    if not path.is_file():
        raise ConfigError(f"{path} is no file", hint="a folder goes as an archive")
    size = path.stat().st_size
    waiting = sum(note.size for note in waiting_notes(folder).values())
    if waiting + size > most_bytes:
        raise DeviceError(
            f"{waiting} bytes of files wait for the store already, and {path.name} has {size}",
            hint="`cardan sync why` says what they wait for",
        )
    wall_ns = clock.wall_ns()
    identity = f"{wall_ns:020d}-{os.getpid()}-{_SAFE.sub('_', path.name)[:80]}"
    try:
        _keep(path, folder / f"{identity}.data")
        digest = _hash_of(folder / f"{identity}.data")
        note = FileNote(
            name=_SAFE.sub("_", path.name)[:80],
            kind=int(kind),
            purposes=purposes,
            size=size,
            sha256=digest,
            wall_ns=wall_ns,
        )
        write_durably(folder / f"{identity}.json", msgspec.json.encode(note))
    except OSError as error:
        (folder / f"{identity}.data").unlink(missing_ok=True)
        raise DeviceError(f"{path} cannot be kept for the store: {error.strerror}", hint="`df`") from error
    return note


def waiting_notes(folder: Path) -> dict[str, FileNote]:
    """The files that wait, by identity, oldest first. What cannot be read is left alone."""
    found: dict[str, FileNote] = {}
    with suppress(FileNotFoundError):
        for path in sorted(folder.glob("*.json")):
            with suppress(OSError, msgspec.MsgspecError):
                found[path.stem] = msgspec.json.decode(path.read_bytes(), type=FileNote)
    return found


class FileQueue:
    """The files that wait, for one uplink. vehicle, boot: as its objects are called."""

    def __init__(self, uplink_dir: Path, *, vehicle: str, boot: str, block_from_bytes: int) -> None:
        self._folder = files_dir(uplink_dir)
        self._vehicle = vehicle
        self._boot = boot
        self._block_from_bytes = block_from_bytes
        self._seen_ns = -1
        self._notes: dict[str, FileNote] = {}

    def oldest_or_none(self, kind: RecordClass, besides: set[str]) -> FileParcel | None:
        """The oldest file of a class that is not in `besides`."""
        self._look()
        for identity, note in self._notes.items():
            if note.kind == kind and f"file/{identity}" not in besides:
                return FileParcel(self, identity, note)
        return None

    def remove(self, identity: str) -> None:
        """The store has it: the note goes first, so that a kill in between leaves no file that is sent again."""
        (self._folder / f"{identity}.json").unlink(missing_ok=True)
        sync_folder(self._folder)
        (self._folder / f"{identity}.data").unlink(missing_ok=True)
        self._notes.pop(identity, None)

    def path(self, identity: str) -> Path:
        """The file itself."""
        return self._folder / f"{identity}.data"

    def name_of(self, note: FileNote) -> str:
        """Of the object: hive folders, then the hash of the content, so that a taken name is an answer."""
        path = Path(note.name)
        kind = FOLDERS.get(path.suffix, OTHER_FOLDER)[0]
        date = datetime.fromtimestamp(note.wall_ns // NS_PER_S, tz=timezone.utc).strftime("%Y-%m-%d")
        place = f"{LAYOUT}/{kind}/date={date}/vehicle={self._vehicle}/boot={self._boot}"
        return f"{place}/{path.stem}-{note.wall_ns}-{note.sha256[:16]}{path.suffix}"

    def goes_in_blocks(self, note: FileNote) -> bool:
        """Whether it is large enough for blocks."""
        return note.size > self._block_from_bytes

    def _look(self) -> None:
        try:
            seen_ns = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if seen_ns != self._seen_ns:
            self._seen_ns, self._notes = seen_ns, waiting_notes(self._folder)


class FileParcel:
    """One file that is to leave. It is mapped, not read into memory."""

    def __init__(self, queue: FileQueue, identity: str, note: FileNote) -> None:
        self._queue = queue
        self._identity = identity
        self._note = note
        self.name = self.key = f"file/{identity}"
        self.kind = RecordClass(note.kind)
        self.purposes = note.purposes

    def __len__(self) -> int:
        return 1

    def sealed(self, before: Name | None) -> Sealed:
        note = self._note
        decided = before or Name(
            key=self.key,
            name=self._queue.name_of(note),
            form="file",
            hashes=(note.sha256,),
            in_blocks=self._queue.goes_in_blocks(note),
        )
        content_type = FOLDERS.get(Path(note.name).suffix, OTHER_FOLDER)[1]
        from cardan.runtime.uplink.parcels import sealed_as  # heavy, and no business of who only looks

        return sealed_as(decided, self._data(), note.sha256, content_type)

    def _data(self) -> bytes | memoryview:
        path = self._queue.path(self._identity)
        try:
            with path.open("rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if self._note.size else b""
        except OSError as error:
            raise DeviceError(f"{path} cannot be read: {error.strerror}") from error
        if _sha256([data]) != self._note.sha256:
            raise DeviceError(f"{path} is damaged on this disk, or was changed after it was handed over")
        return data

    def delivered(self) -> None:
        self._queue.remove(self._identity)

    def release(self) -> None:
        """It stays where it is."""


def _keep(path: Path, kept: Path) -> None:
    """A link where that is possible, so that nothing is copied; durable in either case."""
    try:
        os.link(path, kept)
    except OSError:
        shutil.copyfile(path, kept)
    descriptor = os.open(kept, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return _sha256(iter(lambda: file.read(1 << 20), b""))


def _sha256(pieces: Iterable[bytes | memoryview]) -> str:
    from hashlib import sha256  # heavy, and no business of who only looks

    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
