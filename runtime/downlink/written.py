"""Commands and campaigns as people write them, in TOML, and how they are signed."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.downlink.documents import Document, covered, read_document
from cardan.runtime.errors import ConfigError
from cardan.runtime.signing import sign_bytes
from cardan.runtime.toml_document import read_document as read_toml

TIMES = {"expires": "expires_s", "deadline": "deadline_s"}
"""A date in TOML -> the field in seconds."""
DEFAULT_WITHIN_S = 3600
"""Deadline of a command whose file names none."""


def read_written(path: Path, now_s: int) -> Document:
    """The command or campaign in a TOML file, as issued now; ConfigError says what is wrong with it."""
    document = read_toml(path, str(path), "document")
    if document.findings:
        raise ConfigError("; ".join(str(finding) for finding in document.findings.sorted()))
    fields: dict[str, Any] = {"issued_s": now_s}
    for name, value in document.data.items():
        if isinstance(value, datetime):
            fields[TIMES.get(name, name)] = _seconds(name, value)
        else:
            fields[name] = value
    if fields.get("kind") == "command":
        fields.setdefault("id", secrets.token_hex(8))
        fields.setdefault("deadline_s", now_s + DEFAULT_WITHIN_S)
    try:
        return read_document(msgspec.json.encode(fields))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint="see docs/live.md for both forms") from error


def signed_document(document: Document, private: Path) -> bytes:
    """The envelope that a vehicle takes. private: NAME.key; its name is how vehicles know the key."""
    body = msgspec.json.encode(document).decode()
    signature = sign_bytes(covered(body), private)
    return msgspec.json.encode({"cardan": 1, "key": private.stem, "ed25519": signature, "body": body})


def _seconds(name: str, value: datetime) -> int:
    if value.tzinfo is None:
        raise ConfigError(f"{name} = {value.isoformat()} says no time zone", hint=f"write {value.isoformat()}Z")
    return int(value.astimezone(timezone.utc).timestamp())
