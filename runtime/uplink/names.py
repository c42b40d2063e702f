"""The names of objects, on the disk before the first byte leaves: whatever is changed later, a segment has one name.

One line a change, each with its own CRC, so that a torn or damaged line costs one name and nothing else:

    a1b2c3d4 {"key":"LOG/trend/FIRST-LAST.sealed","name":"v1/...","form":"jsonl","hashes":["..."],"in_blocks":false}

A name is forgotten when its segment has left the outbox; what is forgotten is dropped when the file is written anew.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import msgspec

from cardan.runtime.disk import make_folder_durably, write_all, write_durably

FILE_NAME = "names.log"
MOST_BYTES = 256 << 10
"""The file is written anew when it is larger."""
MOST_HASHES = 4
"""Encoders that may have sealed one object, one after the other."""


class Name(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided about one segment before it left."""

    key: str
    """The log and the claim: the same segment, whenever it is claimed."""
    name: str = ""
    """Of the object; empty: this segment has left the outbox, and its name is forgotten."""
    form: str = ""
    """How its records are written (see `forms`)."""
    hashes: tuple[str, ...] = ()
    """SHA-256 of the object's bytes; more than one when another release of an encoder made other bytes of it."""
    in_blocks: bool = False
    data_key: str = ""
    """Hex digits that tell the data key that encrypts it; empty: none, or a key in a file."""
    refused: str = ""
    """Why it is not tried again; empty: it is."""


class Names:
    """The names of one uplink, between `open` and `close`. OSError of the disk passes through. One thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._known: dict[str, Name] = {}
        self._descriptor = -1
        self._size = 0
        self.damaged = 0
        """Lines that could not be read."""

    def open(self) -> None:
        """Read what an earlier process decided."""
        make_folder_durably(self._folder)
        self._known, self.damaged = read_names(self._path)
        self._write_anew()

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def get_or_none(self, key: str) -> Name | None:
        """What was decided about a segment."""
        return self._known.get(key)

    def refused(self) -> list[Name]:
        """Objects that are not tried again."""
        return [name for name in self._known.values() if name.refused]

    def data_keys(self) -> set[str]:
        """Data keys that objects are sealed with which have not left yet."""
        return {name.data_key for name in self._known.values() if name.data_key}

    def keep(self, name: Name) -> Name:
        """Decide: on the disk when this returns. OSError: it is decided, for as long as this process lives."""
        if self._known.get(name.key) != name:
            self._known[name.key] = name
            self._append(name)
            os.fdatasync(self._descriptor)
        return name

    def forget(self, key: str) -> None:
        """The segment has left the outbox. Not synced: what is forgotten too late does no harm."""
        if self._known.pop(key, None) is not None:
            self._append(Name(key=key))

    def retry(self) -> None:
        """Try again what was refused: the store has nothing of it, so it is decided anew."""
        for name in self.refused():
            self.forget(name.key)

    def _append(self, name: Name) -> None:
        line = line_of(name)
        if self._size + len(line) > MOST_BYTES:
            self._write_anew()
            return
        write_all(self._descriptor, line)
        self._size += len(line)

    def _write_anew(self) -> None:
        self.close()
        data = b"".join(line_of(name) for name in self._known.values())
        write_durably(self._path, data)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = len(data)


def line_of(name: Name) -> bytes:
    """One line of the file."""
    text = msgspec.json.encode(name)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_names(path: Path) -> tuple[dict[str, Name], int]:
    """What a file says, the newest word about each segment; and how many of its lines cannot be read."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}, 0
    known: dict[str, Name] = {}
    damaged = 0
    for line in lines:
        name = _name_or_none(line)
        if name is None:
            damaged += bool(line)
        elif name.name:
            known[name.key] = name
        else:
            known.pop(name.key, None)
    return known, damaged


def _name_or_none(line: bytes) -> Name | None:
    crc, _, text = line.partition(b" ")
    try:
        return msgspec.json.decode(text, type=Name) if int(crc, 16) == zlib.crc32(text) else None
    except (ValueError, msgspec.MsgspecError):
        return None
