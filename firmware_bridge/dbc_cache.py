"""Tables of DBC files that were parsed before, on disk under the hash of the file: no parser, no cantools, 2 ms.

An entry is believed only when it is this user's own, its checksum is right, and it was written for the same file by the
same versions of the parser. Anything else, and a disk that cannot be written, means parsing again: never an error.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec

from cardan.firmware_bridge.dbc_tables import DbcTables

FORMAT = 1
"""Raise it when the tables, or what is put into them, change."""
DIGEST_BYTES = 32
KEPT_FILES = 64
"""More than a vehicle has; the oldest give way."""


class DbcCache:
    """One folder of entries; `None` keeps nothing. Several processes may use it at once."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load_or_none(self, raw: bytes) -> DbcTables | None:
        """The tables of the DBC file with the bytes `raw`; None unless a good entry is there."""
        if self._folder is None:
            return None
        try:
            with self._path(raw).open("rb") as file:
                if os.fstat(file.fileno()).st_uid != os.geteuid():
                    return None
                entry = file.read()
        except OSError:
            return None
        digest, body = entry[:DIGEST_BYTES], entry[DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            return None
        try:
            return msgspec.msgpack.decode(body, type=DbcTables)
        except msgspec.MsgspecError:
            return None

    def keep(self, raw: bytes, tables: DbcTables) -> None:
        """Keep the tables of the DBC file with the bytes `raw`; complete or not at all."""
        if self._folder is None:
            return
        body = msgspec.msgpack.encode(tables)
        path = self._path(raw)
        staged = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            staged.write_bytes(hashlib.sha256(body).digest() + body)
            staged.replace(path)
            self._prune(self._folder)
        except OSError:
            with suppress(OSError):
                staged.unlink()

    def _path(self, raw: bytes) -> Path:
        name = hashlib.sha256(f"{FORMAT} {_parser_version()}\n".encode() + raw).hexdigest()
        return (self._folder or Path()) / f"{name}.tables"

    @staticmethod
    def _prune(folder: Path) -> None:
        entries = sorted(folder.glob("*.tables"), key=lambda path: path.stat().st_mtime_ns)
        for path in entries[:-KEPT_FILES]:
            path.unlink(missing_ok=True)


def usual_cache() -> DbcCache:
    """Of this user: `$XDG_CACHE_HOME/cardan/dbc`, or below `~/.cache`; none for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return DbcCache((Path(base) if base else Path.home() / ".cache") / "cardan" / "dbc")
    except RuntimeError:
        return DbcCache(None)


def _parser_version() -> str:
    """From the name of the folder that pip made: to ask importlib.metadata costs ten times more than all the rest."""
    found = find_spec("cantools")
    if found is None or found.origin is None:
        return "none"
    return next((path.name for path in Path(found.origin).parents[1].glob("cantools-*.dist-info")), "unknown")
