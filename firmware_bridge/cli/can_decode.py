"""`cardan can decode`: frames with the names, units and verdicts that a DBC gives them, live or stored."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cardan.drivers.can.candump import LoggedFrame
from cardan.drivers.can.error_frames import decode_error_frame, describe
from cardan.firmware_bridge.cli.can_dump import record
from cardan.firmware_bridge.cli.can_filter import frame_filter, id_text
from cardan.firmware_bridge.cli.can_stream import limits_of, say, stream
from cardan.firmware_bridge.cli.can_target import Target, find_target, readers_of
from cardan.firmware_bridge.frame_reader import FrameReader, ReadFrame, ReadSignal
from cardan.runtime.can_line import ERROR_FLAG
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.foreign import json_line
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.units import count, plural
from cardan.runtime.clock import MonotonicClock

FILLED_IN = ("CRC", "CHECKSUM", "COUNTER")
"""Signals that the verdict speaks of."""


def run(arguments: argparse.Namespace) -> int:
    """Print decoded frames until a limit, the end of what is stored, or Ctrl-C.

    1 when a length, checksum or counter was wrong; 3 when nothing came, or nothing that the DBC knows.
    """
    clock, limits = MonotonicClock(), limits_of(arguments.duration, arguments.count)
    target = find_target(arguments, clock)
    readers = require_readers(readers_of(arguments, target), target)
    known = [item for reader in readers.values() for item in reader.expected]
    wanted = frame_filter(arguments.ids or [], arguments.channel, known)
    source, tally = target.open(None), Tally()
    if not target.live and target.run is not None:
        say(f"no run is active; these are the frames of {target.title}")
    try:
        for frames in stream(source, wanted, limits, clock):
            write = _write_json if arguments.json else _write_lines
            write([(logged, tally.take(logged, readers)) for logged in frames])
            sys.stdout.flush()
    finally:
        source.close()
        tally.tell()
    if not tally.decoded:
        used = ", ".join(sorted({reader.source for reader in readers.values()}))
        raise NoDataError(f"none of {plural(tally.unknown, 'frame')} is in {used}", hint="is it the DBC of this bus?")
    return int(Exit.FINDING if tally.wrong else Exit.HEALTHY)


def require_readers(readers: dict[str, FrameReader], target: Target) -> dict[str, FrameReader]:
    """NoDataError when nothing says how the frames of `target` are read."""
    if not readers:
        raise NoDataError(f"nothing says what the frames of {target.title} mean", hint="add --dbc FILE")
    return readers


def reader_for(readers: Mapping[str, FrameReader], channel: str) -> FrameReader | None:
    """The reader of a channel, or the one for all of them."""
    return readers.get(channel) or readers.get("")


@dataclass
class Tally:
    """What became of the frames so far."""

    decoded: int = 0
    unknown: int = 0
    wrong: int = 0
    error_frames: int = 0
    unknown_ids: set[tuple[str, int, bool]] = field(default_factory=set)

    def take(self, logged: LoggedFrame, readers: Mapping[str, FrameReader]) -> ReadFrame | None:
        """Read one frame, and count what came of it."""
        frame = logged.frame
        reader = reader_for(readers, frame.channel)
        found = reader.read(frame) if reader is not None and not logged.remote else None
        if frame.error:
            self.error_frames += 1
        elif found is None:
            self.unknown += 1
            self.unknown_ids.add((frame.channel, frame.id, frame.extended))
        else:
            self.decoded += 1
            self.wrong += found.wrong
        return found

    def tell(self) -> None:
        """One line on stderr, which leaves stdout to the frames."""
        parts = [
            f"{count(self.decoded)} decoded",
            f"{count(self.wrong)} wrong",
            f"{count(self.unknown)} of {plural(len(self.unknown_ids), 'unknown id')}" if self.unknown else "",
            plural(self.error_frames, "error frame") if self.error_frames else "",
        ]
        write_lines([Line(", ".join(part for part in parts if part), "bad" if self.wrong else "faint")], sys.stderr)


def _write_lines(read: list[tuple[LoggedFrame, ReadFrame | None]]) -> None:
    write_lines((line for item in read if (line := _line(*item)) is not None), sys.stdout)


def _line(logged: LoggedFrame, found: ReadFrame | None) -> Line | None:
    """None for a frame that the DBC does not know: `cardan can dump` shows those."""
    frame = logged.frame
    seconds, nanoseconds = divmod(frame.stamp_ns, 1_000_000_000)
    head = f"({seconds}.{nanoseconds // 1000:06d}) {safe_text(frame.channel)}"
    if frame.error:
        head += f" {id_text(frame.id | ERROR_FLAG, extended=True)}"
        return Line(f"{head} error frame  {describe(decode_error_frame(frame.id, frame.data))}", "bad")
    if found is None:
        return None
    signals = "  ".join(signal_text(signal) for signal in found.signals if signal.name not in FILLED_IN)
    verdict = f"{found.verdict}  " if found.verdict else ""
    return Line(
        f"{head} {id_text(frame.id, frame.extended)} {safe_text(found.message)}  {safe_text(f'{verdict}{signals}')}",
        "bad" if found.wrong else "plain",
    )


def signal_text(signal: ReadSignal) -> str:
    """`SPEED 12.34 m/s`, or `GEAR D (4)` where the value has a name."""
    value = f"{signal.value:.0f}" if float(signal.value).is_integer() else f"{signal.value:.6g}"
    if signal.label:
        return f"{signal.name} {signal.label} ({value})"
    return f"{signal.name} {value} {signal.unit}".rstrip()


def _write_json(read: list[tuple[LoggedFrame, ReadFrame | None]]) -> None:
    sys.stdout.writelines(
        json_line(decoded_record(logged, found)) + "\n" for logged, found in read if found is not None
    )


def decoded_record(logged: LoggedFrame, found: ReadFrame) -> dict[str, Any]:
    """One decoded frame for JSON Lines."""
    return {
        **record(logged),
        "message": found.message,
        "verdict": found.verdict,
        "signals": {
            signal.name: {
                "value": signal.value,
                "unit": signal.unit,
                **({"label": signal.label} if signal.label else {}),
            }
            for signal in found.signals
        },
    }
