"""`cardan top`: the run that is active, live in a terminal, read from shared memory."""

from __future__ import annotations

import argparse
import os
import sys
import termios
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.kept import synced_of
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.screen import USUAL_SIZE, Screen, can_draw
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.cli.top_heard import Listener
from cardan.runtime.cli.top_view import render_top
from cardan.runtime.cli.view import Scene
from cardan.runtime.cli.wakeups import Wakeups
from cardan.runtime.clock import Clock, MonotonicClock, ns

NICENESS = 10
"""Whoever watches never competes with the nodes for a core."""
QUIT = (b"q", b"Q", b"\x1b", b"\x04", b"")
"""q, Escape, Ctrl-D, and a terminal that is gone."""
RATES_OVER_NS = ns(0.95)
FIRST_S = 0.2
"""The first picture comes at once with means over the run, the second soon after, with rates of this moment."""


def run(arguments: argparse.Namespace) -> int:
    """Draw until q, Ctrl-C, the end of the run, or as often as was asked for."""
    every_s = parse_duration_s(arguments.every, "--every")
    draws = can_draw(sys.stdout)
    count = parse_count(arguments.count, "--count") if arguments.count else None if draws else 1
    ends_after_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    clock, found = MonotonicClock(), find_run(arguments.data_dir, must_live=True)
    os.nice(NICENESS)
    with closing(_Eye(found, clock)) as eye, Wakeups() as wakeups:
        ends_ns = None if ends_after_s is None else clock.now_ns() + ns(ends_after_s)
        _draw(eye, wakeups, every_s, count, ends_ns, draws=draws)
    return int(Exit.HEALTHY)


class _Eye:
    """Looks at the run, and keeps looks for about a second."""

    def __init__(self, found: FoundRun, clock: Clock) -> None:
        self.found = found
        self.clock = clock
        self._listener = Listener(found, clock)
        self._shots: deque[Snapshot] = deque()

    def picture(self, columns: int, rows: int) -> list[Line]:
        now = self.found.snapshot(self.clock)
        while len(self._shots) > 1 and now.taken_ns - self._shots[1].taken_ns >= RATES_OVER_NS:
            self._shots.popleft()
        before = self._shots[0] if self._shots else now
        self._shots.append(now)
        note = "q or Ctrl-C ends this view; the vehicle goes on"
        scene = Scene(plan=self.found.plan, now=now, before=before, note=note)
        return render_top(scene, self._listener.hear(), self._synced(), columns, rows)

    def _synced(self) -> Any:
        return synced_of(self.found.plan, self.found.data_dir)

    def close(self) -> None:
        self._listener.close()


def _draw(eye: _Eye, wakeups: Wakeups, every_s: float, count: int | None, ends_ns: int | None, *, draws: bool) -> None:
    with ExitStack() as closing_later:
        screen = closing_later.enter_context(Screen(sys.stdout)) if draws else None
        keys = closing_later.enter_context(_keys()) if draws else ()
        eye.picture(*USUAL_SIZE)  # the look that the first rates count from
        pause_s, drawn = FIRST_S if draws else 1.0, 0
        while not _quits(wakeups, pause_s, keys) and eye.found.lives:
            lines = eye.picture(*(screen.size if screen is not None else (USUAL_SIZE[0], 1000)))
            if screen is not None:
                screen.draw(lines)
            else:
                write_lines(lines, sys.stdout)
            drawn, pause_s = drawn + 1, every_s
            now_ns = eye.clock.now_ns()
            if drawn == count or (ends_ns is not None and now_ns >= ends_ns):
                return
            if ends_ns is not None:
                pause_s = min(every_s, (ends_ns - now_ns) / 1e9)
    if not eye.found.lives:
        print("the run has ended: `cardan status` says how", file=sys.stderr)


def _quits(wakeups: Wakeups, pause_s: float, keys: tuple[int, ...]) -> bool:
    """Wait; True when a person wants to go."""
    pressed = [os.read(descriptor, 1) for descriptor in wakeups.wait(pause_s, *keys)]
    return bool(wakeups.stop_wishes) or any(key in QUIT for key in pressed)


@contextmanager
def _keys() -> Iterator[tuple[int, ...]]:
    """Keys come one by one and unseen while this lasts; none where stdin is no terminal."""
    if not sys.stdin.isatty():
        yield ()
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield (descriptor,)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
