"""The header of a bundle: what it is of, when it was made, and how each collector ended.

A bundle is a ZIP file with the layout of a data folder (`logs/`, `last/`, `recordings/`, `outbox/`) and this header, so
that the commands which look at a data folder look at an opened bundle in the same way.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

NAME = "bundle.json"
SUFFIX = ".cardan.zip"
SCHEMA = 1


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """How one collector ended."""

    name: str
    ok: bool
    text: str
    """What it has, or why it has nothing."""
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of a bundle without looking into it."""

    schema: int = SCHEMA
    id: str
    """Short, and made to be read over the phone."""
    made_wall_ns: int
    run: str
    """The run that it is about."""
    was_live: bool
    """That run was going on."""
    vehicle: str
    computer: str
    cardan: str
    redacted: list[str] = []
    """What was taken out, in words."""
    collectors: list[Collected] = []


def read_header_or_none(folder: Path) -> Header | None:
    """The header of an opened bundle; None for any other folder, or where it is damaged."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Header)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def write_header(folder: Path, header: Header) -> None:
    """Replace the header in one step."""
    new = folder / f".{NAME}.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(header), indent=1))
    new.replace(folder / NAME)
