"""On which line each key of a TOML file stands.

tomllib gives values without places. Here a scanner walks over text that tomllib has accepted and notes the line of
each table header, key, inline key, and array element; what a key spells is left to tomllib itself.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TomlPath = tuple[str | int, ...]
"""Keys and array positions from the top: ("nodes", "camera", "cores", 0)."""

_STRING = r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' + r"|'''.*?'''(?:'{0,2})" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'"
_PART = rf"(?:[A-Za-z0-9_-]+|{_STRING})"
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*", re.DOTALL)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(rf"(?:{_STRING})|[^,\]}}#\n]+", re.DOTALL)


class _Unreadable(Exception):
    """The text is not TOML from here on."""


class _Scanner:
    """One pass over the text; `entries` are all explicit definitions in order, as (path, line)."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._tables: dict[TomlPath, int] = {}
        self._explicit: set[TomlPath] = set()
        self.lines: dict[TomlPath, int] = {}
        self.entries: list[tuple[TomlPath, int]] = []

    def scan(self) -> None:
        """Walk over the whole document."""
        table: TomlPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            table = self._header() if self._next() == "[" else self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> TomlPath:
        """`[a.b]` or `[[a.b]]`; returns the path that the following keys belong to."""
        line, brackets = self._line(), 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        self._skip(_SPACE)
        path = self._resolve(self._key(), is_array=brackets == 2)
        self._skip(_SPACE)
        for _ in range(brackets):
            self._expect("]")
        self._note(path, line, 0)
        return path

    def _resolve(self, keys: list[str], *, is_array: bool) -> TomlPath:
        """Put the positions of arrays of tables into the path of a header."""
        path: TomlPath = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        path = (*path, keys[-1])
        if not is_array:
            return path
        self.lines.setdefault(path, self._line())
        self._tables[path] = self._tables.get(path, 0) + 1
        return (*path, self._tables[path] - 1)

    def _pair(self, table: TomlPath) -> TomlPath:
        """`key = value`; returns the table, which it does not change."""
        line = self._line()
        path = (*table, *self._key())
        self._skip(_SPACE)
        self._expect("=")
        self._skip(_SPACE)
        self._note(path, line, len(table))
        self._value(path)
        return table

    def _value(self, path: TomlPath) -> None:
        if self._next() == "[":
            self._array(path)
        elif self._next() == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR, required=True)

    def _array(self, path: TomlPath) -> None:
        self._expect("[")
        self._skip(_BLANK)
        position = 0
        while self._next() != "]":
            self.lines.setdefault((*path, position), self._line())
            self._value((*path, position))
            position += 1
            self._separator("]")
        self._expect("]")

    def _inline_table(self, path: TomlPath) -> None:
        self._expect("{")
        self._skip(_BLANK)
        while self._next() != "}":
            self._pair(path)
            self._separator("}")
        self._expect("}")

    def _separator(self, closing: str) -> None:
        self._skip(_BLANK)
        if self._next() != closing:
            self._expect(",")
            self._skip(_BLANK)

    def _key(self) -> list[str]:
        start = self._at
        self._skip(_KEY, required=True)
        return _spelled(self._text[start : self._at])

    def _note(self, path: TomlPath, line: int, inherited: int) -> None:
        for length in range(inherited + 1, len(path)):
            self.lines.setdefault(path[:length], line)
        if path not in self._explicit:
            self.lines[path] = line
        self._explicit.add(path)
        self.entries.append((path, line))

    def _line(self) -> int:
        return bisect_right(self._line_ends, self._at - 1) + 1

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str], *, required: bool = False) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None and match.end() > self._at:
            self._at = match.end()
        elif required:
            raise _Unreadable

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise _Unreadable
        self._at += 1


def _spelled(key: str) -> list[str]:
    """The parts of a dotted key, unquoted and unescaped by tomllib."""
    if _PLAIN_KEY.fullmatch(key):
        return key.split(".")
    try:
        table = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError as error:
        raise _Unreadable from error
    parts = []
    while isinstance(table, dict):
        part, table = next(iter(table.items()))
        parts.append(part)
    return parts


def _scan(text: str) -> _Scanner:
    scanner = _Scanner(text)
    try:
        scanner.scan()
    except _Unreadable:
        return scanner
    return scanner


def key_lines(text: str) -> dict[TomlPath, int]:
    """First line (from 1) of every table, key, and array element. What is not TOML ends the walk early."""
    return _scan(text).lines


def repeated_key(text: str) -> tuple[TomlPath, int, int] | None:
    """The first key or table that is defined twice, with both lines; None when there is none."""
    first: dict[TomlPath, int] = {}
    for path, line in _scan(text).entries:
        if path in first:
            return path, first[path], line
        first[path] = line
    return None
