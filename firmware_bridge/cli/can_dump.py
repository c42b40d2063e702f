"""`cardan can dump`: frames as the lines of `candump -l`, live or stored."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from cardan.drivers.can.candump import LoggedFrame, format_line
from cardan.firmware_bridge.cli.can_filter import frame_filter
from cardan.firmware_bridge.cli.can_stream import limits_of, say, stream
from cardan.firmware_bridge.cli.can_target import find_target
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.foreign import json_line
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.shapes import SCHEMA_VERSION
from cardan.runtime.clock import MonotonicClock


def run(arguments: argparse.Namespace) -> int:
    """Print frames until a limit, the end of what is stored, or Ctrl-C; 3 when none came."""
    clock, limits = MonotonicClock(), limits_of(arguments.duration, arguments.count)
    wanted = frame_filter(arguments.ids or [], arguments.channel)
    target = find_target(arguments, clock)
    if not target.live and target.run is not None:
        say(f"no run is active; these are the frames of {target.title}")
    source = target.open(None)
    try:
        for frames in stream(source, wanted, limits, clock):
            if arguments.json:
                sys.stdout.writelines(json_line(record(logged)) + "\n" for logged in frames)
            else:
                write_lines((_line(logged) for logged in frames), sys.stdout)
            sys.stdout.flush()
    finally:
        source.close()
    return int(Exit.HEALTHY)


def _line(logged: LoggedFrame) -> Line:
    """In microseconds: can-utils take what stands behind the point for a number of them."""
    stamp_ns = logged.frame.stamp_ns // 1000 * 1000
    logged = msgspec.structs.replace(logged, frame=msgspec.structs.replace(logged.frame, stamp_ns=stamp_ns))
    return Line(format_line(logged), "bad" if logged.frame.error else "plain")


def record(logged: LoggedFrame) -> dict[str, Any]:
    """One frame for JSON Lines."""
    frame = logged.frame
    return {
        "schema_version": SCHEMA_VERSION,
        "stamp_ns": frame.stamp_ns,
        "channel": frame.channel,
        "id": frame.id,
        "extended": frame.extended,
        "fd": frame.fd,
        "error": frame.error,
        "remote": logged.remote,
        "direction": logged.direction,
        "data": frame.data.hex(),
    }
