"""`cardan foxglove`: the active run in Foxglove, live, until Ctrl-C; or the layout that shows a drive."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import resources

from cardan.runtime.cli.durations import parse_duration_s
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.wakeups import Wakeups
from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.errors import ConfigError
from cardan.runtime.foxglove.settings import FoxgloveSettings, foxglove_missing

NICENESS = 10
"""Whoever watches never competes with the nodes for a core."""
STEP_S = 0.02


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes, time is over, or the run has ended."""
    if arguments.layout:
        sys.stdout.write(layout_text())
        return int(Exit.HEALTHY)
    settings = FoxgloveSettings(port=_port(arguments.port), topics=arguments.topics or ["*"])
    ends_after_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    clock, found = MonotonicClock(), find_run(arguments.data_dir, must_live=True)
    try:
        from cardan.runtime.foxglove.stream import Stream
    except ImportError as error:
        raise foxglove_missing(error) from error
    os.nice(NICENESS)
    with Wakeups() as wakeups:
        try:
            stream = Stream(found, settings, clock)
        except ConfigError as error:
            raise UsageError(error.message, hint=error.hint) from error
        try:
            print(stream.address, flush=True)
            print("open it in Foxglove as a live connection; Ctrl-C ends it", file=sys.stderr)
            ends_ns = None if ends_after_s is None else clock.now_ns() + ns(ends_after_s)
            while not wakeups.stop_wishes and found.lives and (ends_ns is None or clock.now_ns() < ends_ns):
                stream.step()
                wakeups.wait(STEP_S)
        finally:
            stream.close()
    return int(Exit.HEALTHY)


def layout_text() -> str:
    """The layout, to be imported into Foxglove."""
    return resources.files("cardan.runtime.foxglove").joinpath("layout.json").read_text()


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise UsageError(f'--port "{text}": expected a number from 0 to 65535', hint="0 takes any that is free")
    return int(text)
