"""`cardan can sniff`: what changes on a bus, one row for each identifier; live on a terminal, else one table."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from typing import Any

import msgspec

from cardan.drivers.can.candump import LoggedFrame
from cardan.firmware_bridge.cli.can_decode import reader_for
from cardan.firmware_bridge.cli.can_filter import frame_filter
from cardan.firmware_bridge.cli.can_rows import Key, Row
from cardan.firmware_bridge.cli.can_sniff_view import Look, picture, table_lines
from cardan.firmware_bridge.cli.can_stream import Limits, limits_of, say, stream
from cardan.firmware_bridge.cli.can_target import Target, find_target, readers_of
from cardan.firmware_bridge.frame_reader import FrameReader
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import wants_colour, write_lines
from cardan.runtime.cli.screen import Screen, can_draw, terminal_size
from cardan.runtime.clock import MonotonicClock, ns

USUAL_S = 2.0
PICTURE_S = 0.2


def run(arguments: argparse.Namespace) -> int:
    """Show the rows until a limit, the end of what is stored, or Ctrl-C; 3 when no frame came."""
    clock, limits = MonotonicClock(), limits_of(arguments.duration, arguments.count)
    target = find_target(arguments, clock)
    readers = readers_of(arguments, target)
    known = [item for reader in readers.values() for item in reader.expected]
    wanted = frame_filter(arguments.ids or [], arguments.channel, known)
    drawn = target.live and not arguments.json and can_draw(sys.stdout)
    if target.live and not drawn and limits == Limits():
        limits = Limits(None, USUAL_S)
    if not target.live and target.run is not None:
        say(f"no run is active; these are the frames of {target.title}")
    source = target.open(None)
    sniffer = Sniffer(readers)
    try:
        with Screen(sys.stdout) if drawn else nullcontext() as screen:
            next_ns = clock.now_ns()
            for frames in stream(source, wanted, limits, clock, quiet=drawn):
                sniffer.take(frames)
                if screen is not None and clock.now_ns() >= next_ns:
                    next_ns = clock.now_ns() + ns(PICTURE_S)
                    columns, lines = screen.size
                    look = Look(now_ns=clock.wall_ns(), columns=columns, starred=not wants_colour(sys.stdout))
                    screen.draw(picture(sniffer.rows, target.title, look, lines))
    finally:
        source.close()
        _show(sniffer, target, as_json=arguments.json)
    return int(Exit.HEALTHY)


class Sniffer:
    """The rows so far."""

    def __init__(self, readers: dict[str, FrameReader]) -> None:
        self._readers = readers
        self._rows: dict[Key, Row] = {}

    def take(self, frames: list[LoggedFrame]) -> None:
        """Error and remote frames have no data that could change."""
        for logged in frames:
            frame = logged.frame
            if frame.error or logged.remote:
                continue
            key = (frame.channel, frame.id, frame.extended)
            row = self._rows.get(key)
            if row is None:
                row = self._rows[key] = Row(key)
            reader = reader_for(self._readers, frame.channel)
            row.see(logged, reader.read(frame) if reader is not None else None)

    @property
    def rows(self) -> list[Row]:
        """In the order of channel and identifier."""
        return [self._rows[key] for key in sorted(self._rows)]


def _show(sniffer: Sniffer, target: Target, *, as_json: bool) -> None:
    """The last state stays on the screen that was there before."""
    if not sniffer.rows:
        return
    if as_json:
        document = {
            "schema_version": 1,
            "source": target.title,
            "live": target.live,
            "ids": [_record(row) for row in sniffer.rows],
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        look = Look(now_ns=None, columns=terminal_size(sys.stdout)[0] if sys.stdout.isatty() else 160)
        write_lines(table_lines(sniffer.rows, look), sys.stdout)


def _record(row: Row) -> dict[str, Any]:
    channel, frame_id, extended = row.key
    read = row.read
    return {
        "channel": channel,
        "id": frame_id,
        "extended": extended,
        "message": read.message if read is not None else None,
        "count": row.count,
        "rate_hz": round(row.rate_hz, 3) if row.rate_hz is not None else None,
        "data": row.data.hex(),
        "changed_bytes": row.changed_bytes(None),
        "wrong": row.wrong,
        "verdict": read.verdict if read is not None else "",
        "signals": {item.name: item.value for item in read.signals} if read is not None else {},
    }
