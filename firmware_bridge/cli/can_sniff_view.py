"""The picture of `cardan can sniff`, decided from its rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cardan.firmware_bridge.cli.can_decode import FILLED_IN, signal_text
from cardan.firmware_bridge.cli.can_filter import id_text
from cardan.firmware_bridge.cli.can_rows import Row
from cardan.runtime.cli import units
from cardan.runtime.cli.lines import Line, cut, safe_text
from cardan.runtime.clock import NS_PER_S

SHOWN_BYTES = 8
"""Of the data; more shows as `…`."""
DATA_WIDTH = 3 * SHOWN_BYTES + 1
INDENT = "    "
STALE_NS = NS_PER_S
GAP = "  "


@dataclass(frozen=True, kw_only=True)
class Look:
    """How rows are shown."""

    now_ns: int | None
    """Of the frames' clock; changes are marked for a moment. None: a table of what was, with whatever ever changed."""
    columns: int = 160
    starred: bool = True
    """Mark a changed byte by a star behind it: where nothing can be reversed."""


def picture(rows: Sequence[Row], title: str, look: Look, lines: int) -> list[Line]:
    """At most `lines` lines: with signals below each row where everything fits, else the rows alone."""
    head = [Line(f"{title}: {units.plural(len(rows), 'id')}", "title"), _header(rows)]
    foot = Line("Ctrl-C ends it; --id shows fewer", "faint")
    free = lines - len(head) - 1
    body = _body(rows, look, signals=True)
    if len(body) > free:
        body = _body(rows, look, signals=False)
    if len(body) > free:
        hidden = units.plural(len(body) - free + 1, "more id")
        body = [*body[: free - 1], Line(f"… {hidden}: use a taller terminal, or --id", "faint")]
    return [_fit(line, look.columns) for line in [*head, *body, foot]]


def table_lines(rows: Sequence[Row], look: Look) -> list[Line]:
    """The same as a table without an end."""
    return [_header(rows), *_body(rows, look, signals=True)]


def _fit(line: Line, columns: int) -> Line:
    text = cut(line.text, columns)
    marks = tuple((start, min(end, len(text))) for start, end in line.marks if start < len(text))
    return Line(text, line.role, marks)


def _widths(rows: Sequence[Row]) -> tuple[int, int]:
    """Of channel and identifier."""
    return max([7, *(len(row.key[0]) for row in rows)]), max([3, *(len(id_text(*row.key[1:])) for row in rows)])


def _header(rows: Sequence[Row]) -> Line:
    channel, identifier = _widths(rows)
    cells = [
        f"{'CHANNEL':<{channel}}",
        f"{'ID':<{identifier}}",
        f"{'RATE':>8}",
        f"{'AGE':>6}",
        f"{'DATA':<{DATA_WIDTH}}",
    ]
    return Line(GAP.join([*cells, "MESSAGE"]), "title")


def _body(rows: Sequence[Row], look: Look, *, signals: bool) -> list[Line]:
    newest_ns = look.now_ns if look.now_ns is not None else max(row.newest_ns for row in rows)
    widths = _widths(rows)
    found: list[Line] = []
    for row in rows:
        found.append(_row_line(row, widths, newest_ns, look))
        if signals:
            found += _signal_lines(row, look)
    return found


def _row_line(row: Row, widths: tuple[int, int], newest_ns: int, look: Look) -> Line:
    channel, frame_id, extended = row.key
    age_ns = newest_ns - row.newest_ns
    cells = [
        f"{safe_text(channel):<{widths[0]}}",
        f"{id_text(frame_id, extended):<{widths[1]}}",
        f"{units.rate(row.rate_hz):>8}",
        f"{units.age(age_ns / NS_PER_S):>6}",
    ]
    start = len(GAP.join(cells)) + len(GAP)
    changed = [place for place in row.changed_bytes(look.now_ns) if place < SHOWN_BYTES]
    data = "".join(
        f"{byte:02X}{'*' if look.starred and place in changed else ' '}"
        for place, byte in enumerate(row.data[:SHOWN_BYTES])
    )
    data += "…" if len(row.data) > SHOWN_BYTES else ""
    marks = () if look.starred else tuple((start + 3 * place, start + 3 * place + 2) for place in changed)
    cells += [f"{data:<{DATA_WIDTH}}", _message(row)]
    return Line(GAP.join(cells).rstrip(), _role(row, age_ns), marks)


def _message(row: Row) -> str:
    if row.read is None:
        return ""
    wrong = (
        f"  {row.wrong} wrong: {row.read.verdict}" if row.read.wrong else f"  {row.wrong} wrong" if row.wrong else ""
    )
    return safe_text(f"{row.read.message}{wrong}")


def _role(row: Row, age_ns: int) -> str:
    if row.read is not None and row.read.wrong:
        return "bad"
    return "warning" if age_ns > STALE_NS or row.wrong else "plain"


def _signal_lines(row: Row, look: Look) -> list[Line]:
    """Signals side by side, as many lines as it takes; a change is marked as in the data."""
    if row.read is None:
        return []
    changed = row.changed_signals(look.now_ns)
    lines: list[Line] = []
    marks: list[tuple[int, int]] = []
    text = INDENT
    for signal in row.read.signals:
        if signal.name in FILLED_IN:
            continue
        said = safe_text(signal_text(signal)) + ("*" if look.starred and signal.name in changed else "")
        if text != INDENT and len(text) + len(said) > look.columns:
            lines.append(Line(text.rstrip(), "faint", tuple(marks)))
            text, marks = INDENT, []
        if not look.starred and signal.name in changed:
            marks.append((len(text), len(text) + len(said)))
        text += said + GAP
    return [*lines, Line(text.rstrip(), "faint", tuple(marks))] if text != INDENT else lines
