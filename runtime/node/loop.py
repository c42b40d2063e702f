"""The loop that owns a node: by rate on absolute deadlines, or by news on its inputs and descriptors.

A missed cycle is skipped and counted, never made up for in a burst: after a stall of 300 ms a 100 Hz node has
missed 30 cycles and goes on with the next.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from cardan.runtime.clock import NS_PER_S, SPIN_FROM_HZ, Clock
from cardan.runtime.node.node import Node
from cardan.runtime.node.step_notes import StepNoter
from cardan.runtime.node.stepper import Stepper, triggers_of
from cardan.runtime.vitals import NodeVitals

NS_PER_MS = 1_000_000
IDLE_NS = NS_PER_S // 20
"""A node without a rate looks around at least this often, so that it notices a stop."""


class StopRequested(Exception):
    """Raised in a blocking wait when the supervisor asks the node to stop."""


class StopFlag:
    """Set by the SIGTERM handler; interrupts a wait at once, but never a step."""

    def __init__(self) -> None:
        self.requested = False
        self.waiting = False

    def request(self) -> None:
        """Ask for the end of the loop."""
        self.requested = True
        if self.waiting:
            self.waiting = False
            raise StopRequested


class Loop:
    """Steps one node until it finishes or is asked to stop.

    drain: takes what the bus holds for the node. wait: blocks until the bus or one of the node's descriptors has
    something, or until a time-out in milliseconds. look_every_ns: a node that sleeps longer drains in between; 0:
    never. phase_ns: how long after the multiples of its period a node is stepped by its rate; None: it begins at once.
    noter: takes notes of each step for the recorder. Single-threaded.
    """

    def __init__(
        self,
        node: Node,
        vitals: NodeVitals,
        clock: Clock,
        *,
        rate_hz: float | None,
        stepped_by: str | None,
        drain: Callable[[], None],
        wait: Callable[[int], list[int]],
        stop: StopFlag,
        realtime: bool = False,
        look_every_ns: int = 0,
        phase_ns: int | None = None,
        noter: StepNoter | None = None,
    ) -> None:
        self._node = node
        self._vitals = vitals
        self._clock = clock
        self._period_ns = round(NS_PER_S / rate_hz) if rate_hz else 0
        self._spin = rate_hz is not None and rate_hz >= SPIN_FROM_HZ
        self._stepper = Stepper(node, vitals, clock, realtime=realtime, noter=noter)
        self._triggers = triggers_of(node, stepped_by)
        self._drain = drain
        self._wait = wait
        self._stop = stop
        self._realtime = realtime
        self._look_every_ns = look_every_ns
        self._phase_ns = phase_ns
        vitals.words[NodeVitals.PERIOD_NS] = self._period_ns

    def run(self) -> None:
        """Step until the end. Exceptions of the node's step go to the caller."""
        waits_for_news = bool(self._triggers or self._node._wake_descriptors)
        if self._realtime:
            gc.collect()
            gc.disable()
        gc.freeze()
        self._vitals.words[NodeVitals.COLLECTS] = int(gc.isenabled())
        try:
            self._run_by_news() if waits_for_news else self._run_by_rate()
        except StopRequested:
            return

    def _run_by_rate(self) -> None:
        deadline_ns = self._first_deadline_ns()
        while not self._ended():
            self._sleep_until_ns(deadline_ns)
            start_ns = self._clock.now_ns()
            self._lateness(start_ns - deadline_ns)
            self._drain()
            end_ns = self._stepper.step(start_ns)
            deadline_ns = self._next_deadline(deadline_ns, end_ns)

    def _first_deadline_ns(self) -> int:
        """Now, or the next moment of the grid that all processes of this computer share."""
        now_ns = self._clock.now_ns()
        if self._phase_ns is None:
            return now_ns
        return now_ns + (self._phase_ns - now_ns) % self._period_ns

    def _sleep_until_ns(self, deadline_ns: int) -> None:
        """Sleep; where its transport wants that, a slow node looks at its bus meanwhile."""
        while True:
            look_ns = (
                min(deadline_ns, self._clock.now_ns() + self._look_every_ns) if self._look_every_ns else deadline_ns
            )
            self._stop.waiting = True
            self._clock.sleep_until_ns(look_ns, spin=self._spin and look_ns == deadline_ns)
            self._stop.waiting = False
            if look_ns >= deadline_ns:
                return
            self._drain()

    def _next_deadline(self, deadline_ns: int, end_ns: int) -> int:
        words = self._vitals.words
        following_ns = deadline_ns + self._period_ns
        if end_ns > following_ns:
            words[NodeVitals.OVERRUNS] += 1
        missed = max(0, (end_ns - following_ns) // self._period_ns)
        words[NodeVitals.MISSED] += missed
        return following_ns + missed * self._period_ns

    def _run_by_news(self) -> None:
        descriptors = set(self._node._wake_descriptors)
        last_ns = self._clock.now_ns()
        while not self._ended():
            idle_ns = min(self._period_ns or IDLE_NS, IDLE_NS)
            self._stop.waiting = True
            again, self._node._again = self._node._again, False
            readable = self._wait(0 if again else _whole_ms(last_ns + idle_ns - self._clock.now_ns()))
            self._stop.waiting = False
            self._drain()
            start_ns = self._clock.now_ns()
            due = self._period_ns and start_ns - last_ns >= self._period_ns
            news = [trigger for trigger in self._triggers if trigger.new]
            if not (due or news or again or descriptors.intersection(readable)):
                last_ns = last_ns if self._period_ns else start_ns
                continue
            if news:
                self._lateness(start_ns - min(trigger.sent_ns for trigger in news))
            self._stepper.step(start_ns)
            last_ns = start_ns

    def _lateness(self, lateness_ns: int) -> None:
        words = self._vitals.words.cells
        self._vitals.lateness.add(lateness_ns)
        if lateness_ns > words[NodeVitals.WORST_LATENESS_NS]:
            words[NodeVitals.WORST_LATENESS_NS] = lateness_ns

    def _ended(self) -> bool:
        return self._stop.requested or self._node._finished


def _whole_ms(wait_ns: int) -> int:
    """Not less than that, and 1 at least: who wakes up a little too early has nothing to do yet, and waits again."""
    return max(1, -(-wait_ns // NS_PER_MS))
