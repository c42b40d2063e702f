"""`cardan watch`: serve the page of the run that is active, or of the last one, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys

from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.wakeups import Wakeups
from cardan.runtime.clock import Clock, MonotonicClock, ns
from cardan.runtime.errors import ConfigError

FOREVER_S = 3600.0
NICENESS = 10
"""Whoever watches never competes with the nodes for a core."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes or time is over. A wrong setting is a mistake in the command line."""
    from cardan.runtime.cli.durations import parse_duration_s
    from cardan.runtime.web.serve import Page
    from cardan.runtime.web.settings import WebSettings

    ends_after_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    settings = WebSettings(
        bind=arguments.bind,
        port=_port(arguments.port),
        token_file=arguments.token_file or "",
        certificate=arguments.certificate or "",
        key=arguments.key or "",
        names=tuple(arguments.name or ()),
    )
    clock = MonotonicClock()
    os.nice(NICENESS)
    with Wakeups() as wakeups:
        try:
            page = Page(settings, lambda: find_run(arguments.data_dir), clock)
        except ConfigError as error:
            raise UsageError(error.message, hint=error.hint) from error
        try:
            _say(page.address, open_it=arguments.open)
            _wait(wakeups, clock, ends_after_s)
        finally:
            page.close()
        return int(Exit.HEALTHY)


def _say(address: str, *, open_it: bool) -> None:
    print(address, flush=True)
    print("Ctrl-C ends it; the vehicle does not notice either way", file=sys.stderr)
    if open_it:
        import webbrowser

        if not webbrowser.open(address):
            print("no browser was found: open the address yourself", file=sys.stderr)


def _wait(wakeups: Wakeups, clock: Clock, ends_after_s: float | None) -> None:
    ends_ns = None if ends_after_s is None else clock.now_ns() + ns(ends_after_s)
    while not wakeups.stop_wishes and (ends_ns is None or clock.now_ns() < ends_ns):
        wakeups.wait(FOREVER_S if ends_ns is None else (ends_ns - clock.now_ns()) / 1e9)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise UsageError(f'--port "{text}": expected a number from 0 to 65535', hint="0 takes any that is free")
    return int(text)
