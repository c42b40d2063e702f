"""Findings: what is wrong with a file that a person wrote, one line each, with the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from cardan.runtime.errors import ConfigError
from cardan.runtime.toml_lines import TomlPath


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One mistake: `file:line: path: what, remedy`."""

    file: str
    """As the person named it."""
    line: int
    """1-based."""
    path: str
    """Dotted key path, such as nodes.camera.rate_hz."""
    what: str
    remedy: str
    """What to do, or what was expected."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}: {self.what}, {self.remedy}"


class Objection(NamedTuple):
    """What a part of cardan has against a place in a file, before the place has a line."""

    path: TomlPath
    what: str
    remedy: str


class ObjectedError(ConfigError):
    """Settings that a node class has looked at and cannot use, each with its place."""

    def __init__(self, objections: list[Objection]) -> None:
        super().__init__("; ".join(f"{dotted(item.path)}: {item.what}" for item in objections))
        self.objections = objections


class Findings:
    """Collects the findings of one file.

    lines: first line of each key path; a path that is not in the file is placed at the nearest table that is.
    """

    def __init__(self, file: str, lines: dict[TomlPath, int]) -> None:
        self.file = file
        self._lines = lines
        self._found: dict[TomlPath, list[Finding]] = {}

    def add(self, path: TomlPath, what: str, remedy: str) -> None:
        """Record one mistake at `path`; texts of several lines (from a user's exception) become one."""
        finding = Finding(
            file=self.file,
            line=self.line_of(path),
            path=dotted(path),
            what=" ".join(what.split()),
            remedy=" ".join(remedy.split()),
        )
        self._found.setdefault(path, []).append(finding)

    def line_of(self, path: TomlPath) -> int:
        """The line of `path`, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1

    def touches(self, path: TomlPath) -> bool:
        """True when something at or below `path` is wrong, so that nothing may be concluded from it."""
        return any(found[: len(path)] == path for found in self._found)

    def sorted(self) -> list[Finding]:
        """All findings in the order of the file."""
        return sorted(item for found in self._found.values() for item in found)

    def __bool__(self) -> bool:
        return bool(self._found)


def dotted(path: TomlPath) -> str:
    """`("nodes", "camera", "cores", 1)` as `nodes.camera.cores[1]`; keys with other characters stay quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part.replace("-", "").replace("_", "").isalnum()
            text += ("." if text else "") + (part if plain else f'"{part}"')
    return text


def report(findings: Iterable[Finding]) -> str:
    """All findings, one a line."""
    return "\n".join(str(finding) for finding in findings)
