"""Read one TOML file so that everything wrong with it becomes a finding with a line, never a traceback."""

from __future__ import annotations

import hashlib
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cardan.runtime.errors import near_names
from cardan.runtime.findings import Findings
from cardan.runtime.toml_lines import TomlPath, key_lines, repeated_key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 1_000_000
"""A manifest or profile is a few kilobytes; a larger file was named by mistake (a recording, a model)."""

SYNTAX_REMEDIES = (
    ("Invalid value", "put text in double quotes, write numbers plainly (20.0) and truth values as true or false"),
    ("after a key", "write one `key = value` a line"),
    ("after a statement", "write one `key = value` a line, and text in double quotes"),
    ("table declaration", "close the table name with ]"),
    ("nclosed array", "close the list with ]"),
    ("nline table", "write { key = value, key = value } on one line"),
    ("string", "close the text with the quote that opened it"),
    ('Expected "\'"', "close the text with the quote that opened it"),
    ("Illegal character", "close the text with the quote that opened it, and leave out control characters"),
    ("statement", "write `key = value`, a [table] or a # comment"),
)
"""Part of tomllib's message -> what a person should do."""


@dataclass(frozen=True)
class TomlDocument:
    """A TOML file that was read: its tables, and the findings about it so far."""

    path: Path
    sha256: str
    data: dict[str, Any]
    """Empty when the file is not readable TOML. A number in it is finite unless `findings` has its path."""
    findings: Findings


@dataclass(eq=False)
class _UnreadableError(Exception):
    """The whole file cannot be used."""

    what: str
    remedy: str
    line: int = 1
    at: TomlPath = ("toml",)


def read_document(path: Path, shown: str, kind: str) -> TomlDocument:
    """Read `path`.

    shown: the file as the person named it. kind: what it should be ("manifest"), for the words of a finding.
    """
    raw = b""
    try:
        raw = _read_bytes(path, kind)
        text = _decode(raw)
        data = _parse(text)
    except _UnreadableError as error:
        findings = Findings(shown, {error.at: error.line})
        findings.add(error.at, error.what, error.remedy)
        return TomlDocument(path, hashlib.sha256(raw).hexdigest(), {}, findings)
    findings = Findings(shown, key_lines(text))
    _find_not_finite(data, (), findings)
    return TomlDocument(path, hashlib.sha256(raw).hexdigest(), data, findings)


def _read_bytes(path: Path, kind: str) -> bytes:
    at = (kind,)
    try:
        if path.exists() and not path.is_file():
            raise _UnreadableError("this is no regular file", f"name a {kind} in TOML", at=at)
        if path.exists() and path.stat().st_size > MAX_BYTES:
            raise _UnreadableError(f"the file is larger than {MAX_BYTES} bytes", f"name a {kind} in TOML", at=at)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise _UnreadableError("there is no such file", _near_files(path, kind), at=at) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _UnreadableError(f"cannot be read: {reason}", "make it readable for this user", at=at) from error


def _near_files(path: Path, kind: str) -> str:
    try:
        names = sorted(item.name for item in path.parent.iterdir() if item.suffix == ".toml")
    except OSError:
        return f"the folder {path.parent} is not there either"
    return near_names(path.name, names) if names else f"put a {kind} in {path.parent}"


def _decode(raw: bytes) -> str:
    """The text, with the line ends that tomllib sees."""
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8", line) from error


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(text, str(error)) from error
    except RecursionError as error:
        raise _UnreadableError("the values are nested too deeply", "write them flat") from error


def _syntax_error(text: str, message: str) -> _UnreadableError:
    """What tomllib refused, with both places of a key that is there twice."""
    what, _, place = message.partition(" (at ")
    if re.search("overwrite|twice|Duplicate|redefine", what) and (repeated := repeated_key(text)):
        path, first, second = repeated
        remedy = "keep one of them, or give the second another name"
        return _UnreadableError(f"defined twice, first on line {first}", remedy, second, path)
    last = text.rstrip("\n").count("\n") + 1
    number = re.match(r"line (\d+)", place)
    line = min(int(number.group(1)), last) if number else last
    remedies = (remedy for part, remedy in SYNTAX_REMEDIES if part in what)
    return _UnreadableError(what, next(remedies, "see https://toml.io for how TOML is written"), line)


def _find_not_finite(value: Any, path: TomlPath, findings: Findings) -> None:
    """NaN and infinity stop here: each is a finding, and nothing is concluded from its place any more."""
    if isinstance(value, float) and not math.isfinite(value):
        findings.add(path, f"{value} is no setting and no limit", "write a finite number")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _find_not_finite(item, (*path, key), findings)
