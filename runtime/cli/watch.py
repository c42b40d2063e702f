"""Accompany a run from its first moment to its end: look at the vitals, show them, and pass on the wish to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cardan.runtime.cli.kept import recording_of
from cardan.runtime.cli.screen import Screen, can_draw
from cardan.runtime.cli.snapshot import Snapshot, take_snapshot
from cardan.runtime.cli.summary import actuator_series, summarise, verdict_topic
from cardan.runtime.cli.view import Scene, progress, render
from cardan.runtime.cli.wakeups import Wakeups
from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import RunError
from cardan.runtime.plan import Plan
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import RunState, Vitals, open_vitals

if TYPE_CHECKING:
    from cardan.runtime.cli.engagement import EngagementReader

LOOK_UNARMED_S = 0.05
"""How often to look until the first actuator frame is seen, which is its resolution."""
LOOK_S = 0.2
PROGRESS_S = 5.0
ENDS_WITHIN_S = 2.0
RATE_OVER_NS = ns(1.0)
VITALS_WITHIN_S = 10.0
NICENESS = 10
"""Whoever watches never competes with the nodes for a core."""
STOP_MARGIN_S = 5.0
"""Beyond the stop time-outs of all nodes; then the supervisor itself is ended."""


@dataclass
class Outcome:
    """How the run ended."""

    last: Snapshot
    first_sent_ns: int | None
    exit_code: int | None
    """Of the supervisor; None when it had to be killed."""
    stop_wishes: int

    @property
    def trouble(self) -> str:
        """What went wrong with the supervisor itself; empty after an orderly end."""
        if self.exit_code is None:
            return "the supervisor did not stop in time and was killed"
        if self.exit_code < 0:
            return f"the guardian of the run was killed by {signal.Signals(-self.exit_code).name}"
        if self.exit_code and self.stop_wishes > 1:
            return "ended at once by a second Ctrl-C"
        return "" if self.last.ended else "the supervisor ended without stopping the run in order"


@dataclass(kw_only=True)
class Watch:
    """One run that this command has started. `follow` blocks until it has ended."""

    plan: Plan
    paths: RunPaths
    supervisor: subprocess.Popen[bytes]
    clock: Clock
    up_started_ns: int
    ends_after_s: float | None
    _shots: deque[Snapshot] = field(default_factory=deque)
    _first_sent_ns: int | None = None
    _engagement: EngagementReader | None = None
    _asked: int = 0
    _asked_ns: int = 0
    _next_progress_ns: int = 0
    _next_picture_ns: int = 0

    def follow(self) -> Outcome:
        """Show the run until it ends by itself, by time, or by a signal."""
        os.nice(NICENESS)
        with Wakeups() as wakeups, ExitStack() as closing:
            pidfd = os.pidfd_open(self.supervisor.pid)
            closing.callback(os.close, pidfd)
            vitals = self._wait_for_vitals(wakeups, pidfd)
            closing.callback(self._close_engagement)
            screen = closing.enter_context(Screen(sys.stderr)) if can_draw(sys.stderr) else None
            self._next_progress_ns = self.clock.now_ns() + ns(PROGRESS_S)
            while not wakeups.wait(self._pause_s(), pidfd):
                self._look(vitals)
                self._pass_on(wakeups.stop_wishes)
                self._show(screen)
            exit_code = None if self._killed else self.supervisor.wait()
            self._see_the_end(vitals, wakeups)
            return Outcome(self._shots[-1], self._first_sent_ns, exit_code, wakeups.stop_wishes)

    def _see_the_end(self, vitals: Vitals, wakeups: Wakeups) -> None:
        """Look a last time; a supervisor whose guardian was killed needs a moment more to stop the run."""
        deadline_ns = self.clock.now_ns() + ns(ENDS_WITHIN_S)
        self._look(vitals)
        while not self._shots[-1].ended and self.clock.now_ns() < deadline_ns:
            wakeups.wait(LOOK_UNARMED_S)
            self._look(vitals)

    def _wait_for_vitals(self, wakeups: Wakeups, pidfd: int) -> Vitals:
        deadline_ns = self.clock.now_ns() + ns(VITALS_WITHIN_S)
        while self.clock.now_ns() < deadline_ns:
            ended = bool(wakeups.wait(0.01, pidfd))
            self._pass_on(wakeups.stop_wishes)
            vitals = _vitals_or_none(self.paths.vitals, self.plan)
            if vitals is not None:
                return vitals
            if ended:
                break
        self.supervisor.kill()
        self.supervisor.wait()
        raise RunError(f"the supervisor did not start: {_last_line(self.paths.logs / 'supervisor.err')}")

    def _pause_s(self) -> float:
        return LOOK_UNARMED_S if self._first_sent_ns is None else LOOK_S

    def _look(self, vitals: Vitals) -> None:
        shot = take_snapshot(self.plan, vitals, self.clock.now_ns())
        self._shots.append(shot)
        while len(self._shots) > 2 and self._shots[1].taken_ns <= shot.taken_ns - RATE_OVER_NS:
            self._shots.popleft()
        sent = actuator_series(self.plan, shot)
        if self._first_sent_ns is None and sent is not None and sent.count:
            self._first_sent_ns = shot.taken_ns
        if self._engagement is None and shot.state == RunState.RUNNING and verdict_topic(self.plan):
            self._engagement = self._subscribe()

    def _subscribe(self) -> EngagementReader:
        from cardan.runtime.cli.engagement import EngagementReader

        return EngagementReader(self.plan, self.paths.bus, verdict_topic(self.plan), self.clock)

    @property
    def _killed(self) -> bool:
        return self._asked < 0

    def _pass_on(self, stop_wishes: int) -> None:
        """Ask the supervisor to stop: once when time is over, and once for each of the first two wishes."""
        now_ns = self.clock.now_ns()
        due = self.ends_after_s is not None and bool(self._shots) and self._ran_ns() >= ns(self.ends_after_s)
        wished = max(min(stop_wishes, 2), int(due))
        if self._killed:
            return
        if self._asked and now_ns > self._asked_ns + ns(self._patience_s()):
            self._asked = -1
            self.supervisor.kill()
        while 0 <= self._asked < wished:
            self._asked += 1
            self._asked_ns = self._asked_ns or now_ns
            self.supervisor.send_signal(signal.SIGINT)

    def _ran_ns(self) -> int:
        return self._shots[-1].taken_ns - self._shots[-1].started_ns

    def _patience_s(self) -> float:
        return sum(node.stop_timeout_s for node in self.plan.nodes) + STOP_MARGIN_S

    def _show(self, screen: Screen | None) -> None:
        now_ns = self.clock.now_ns()
        if screen is not None and now_ns >= self._next_picture_ns:
            self._next_picture_ns = now_ns + ns(LOOK_S) - ns(0.01)
            screen.draw(render(self._scene(), *screen.size))
        elif screen is None and now_ns >= self._next_progress_ns:
            self._next_progress_ns += ns(PROGRESS_S)
            print(progress(self._scene()), file=sys.stderr, flush=True)

    def _scene(self) -> Scene:
        recording = recording_of(self.plan, self.paths.data_dir, self.paths.run_id)
        now = self._shots[-1]
        return Scene(
            plan=self.plan,
            now=now,
            before=self._shots[0],
            engagement=self._engagement.read() if self._engagement else "",
            armed_after_s=self._armed_after_s(now),
            ends_after_s=self.ends_after_s,
            recording=recording[0] if recording else "",
            recording_bytes=recording[1] if recording else None,
            note="stopping in order; Ctrl-C again ends it at once" if self._asked else "Ctrl-C ends the run",
        )

    def _armed_after_s(self, now: Snapshot) -> float | None:
        summary = summarise(self.plan, now, up_started_ns=self.up_started_ns, first_sent_ns=self._first_sent_ns)
        return summary.armed_after_s

    def _close_engagement(self) -> None:
        if self._engagement is not None:
            self._engagement.close()


def _vitals_or_none(path: Path, plan: Plan) -> Vitals | None:
    """The vitals, once the supervisor has made them and written all of their header."""
    try:
        return open_vitals(path, plan)
    except RunError:
        return None


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if line.strip()), f"see {path}")
