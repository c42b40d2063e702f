"""Lines for a person: text with a role, painted only on a terminal that wants colours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, NamedTuple

RESET = "\x1b[0m"
MARK = "\x1b[7m"
COLOURS = {"good": "\x1b[1;32m", "bad": "\x1b[1;31m", "warning": "\x1b[33m", "title": "\x1b[1m", "faint": "\x1b[2m"}


class Line(NamedTuple):
    """One line and what it is: plain, title, good, bad, warning or faint."""

    text: str
    role: str = "plain"
    marks: tuple[tuple[int, int], ...] = ()
    """Parts that stand out (reversed where there are colours): start and end of each, in order, not overlapping."""


def wants_colour(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """True for a terminal, unless NO_COLOR is set or the terminal is a dumb one."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def paint(line: Line, *, colour: bool) -> str:
    """The text, in the colour of its role if wanted."""
    if not colour:
        return line.text
    start, text, at = COLOURS.get(line.role, ""), "", 0
    for first, last in line.marks:
        text += f"{line.text[at:first]}{MARK}{line.text[first:last]}{RESET}{start}"
        at = last
    return f"{start}{text}{line.text[at:]}{RESET}" if start or line.marks else line.text


def write_lines(lines: Iterable[Line], stream: IO[str]) -> None:
    """Print lines to a stream."""
    colour = wants_colour(stream)
    stream.writelines(paint(line, colour=colour) + "\n" for line in lines)


def safe_text(text: str) -> str:
    """`text` without control characters: names and causes may come from anywhere, and a terminal obeys escapes."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def cut(text: str, width: int) -> str:
    """At most `width` columns of printable text; what was cut shows as `…`."""
    text = safe_text(text)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"[:width]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], aligned: str) -> list[str]:
    """Columns two spaces apart. aligned: one letter for each column, `<` or `>`."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, aligned, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
