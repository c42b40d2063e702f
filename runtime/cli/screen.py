"""A terminal that is redrawn in place and found again as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO

from cardan.runtime.cli.lines import Line, paint, wants_colour

ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, without a cursor
LEAVE = "\x1b[?25h\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
USUAL_SIZE = (80, 24)


def terminal_size(stream: IO[str]) -> tuple[int, int]:
    """Columns and rows of the terminal behind `stream`; 80 by 24 when there is none."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return USUAL_SIZE
    return (columns, rows) if columns > 0 and rows > 0 else USUAL_SIZE


def can_draw(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """True for a terminal that obeys escapes."""
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"


class Screen:
    """Use it as a context manager: it takes the alternate screen and gives the old one back."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._gone = False
        self._colour = wants_colour(stream)

    def __enter__(self) -> Screen:
        self._write(ENTER)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write(LEAVE)

    @property
    def size(self) -> tuple[int, int]:
        return terminal_size(self._stream)

    def draw(self, lines: Sequence[Line]) -> None:
        """Show `lines` from the top; they must fit."""
        body = f"{CLEAR_LINE}\r\n".join(paint(line, colour=self._colour) for line in lines)
        self._write(f"{HOME}{body}{CLEAR_LINE}{CLEAR_BELOW}")

    def _write(self, text: str) -> None:
        """A terminal that was closed while the run lasts must not keep the run from ending in order."""
        if self._gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._gone = True
