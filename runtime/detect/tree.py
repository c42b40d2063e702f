"""The files of the kernel below a root, which tests and images replace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


class Tree:
    """`/sys`, `/proc` and `/dev` of one computer. Whatever cannot be read is empty."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, absolute: str) -> Path:
        """`absolute` below the root."""
        return self.root / absolute.lstrip("/")

    def text(self, absolute: str) -> str:
        """The content of a small file, stripped of blanks and of the zeros of a device tree."""
        try:
            return self.path(absolute).read_bytes().decode(errors="replace").strip("\0 \n\t")
        except OSError:
            return ""

    def number(self, absolute: str) -> int | None:
        """The number that is the content of a file."""
        text = self.text(absolute)
        return int(text) if text.removeprefix("-").isdecimal() else None

    def names(self, absolute: str) -> list[str]:
        """What is in a folder, `cpu2` before `cpu10`."""
        try:
            names = [entry.name for entry in self.path(absolute).iterdir()]
        except OSError:
            return []
        return sorted(names, key=_natural)

    def link(self, absolute: str) -> str:
        """The last part of what a symbolic link points to; empty when there is none."""
        try:
            return self.path(absolute).readlink().name
        except OSError:
            return ""

    def has(self, absolute: str) -> bool:
        """True when there is such a file or folder."""
        return self.path(absolute).exists()


def _natural(name: str) -> tuple[str, int]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or -1)


def core_numbers(text: str) -> list[int]:
    """`0-3,8` as a list; parts that are no numbers are left out."""
    found: set[int] = set()
    for first, last in _ranges(text):
        found.update(range(first, last + 1))
    return sorted(found)


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            yield int(first), int(last or first)
