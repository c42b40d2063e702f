"""One node's process from its first line to its exit code: settings, ports, readiness, loop, close.

Forked from the preloaded supervisor, or executed as `python -m cardan.runtime.node.process BIRTH`.
Exit codes: 0 finished or stopped, 1 the node failed, 2 it could not start.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from cardan.runtime.birth import Birth
from cardan.runtime.bus.ends import PublishingEnd, ReadingEnd
from cardan.runtime.bus.step_rings import notes_path
from cardan.runtime.clock import SPIN_FROM_HZ, MonotonicClock, NotingClock, ns
from cardan.runtime.errors import CardanError
from cardan.runtime.log.node_log import coded, log_to_file
from cardan.runtime.node import group, settings
from cardan.runtime.node.ends import NodeBus
from cardan.runtime.node.loop import Loop, StopFlag, StopRequested
from cardan.runtime.node.node import Node
from cardan.runtime.node.standby import stand_by
from cardan.runtime.node.step_notes import StepNoter
from cardan.runtime.node.wiring import Wire, make_context
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.readable import readable
from cardan.runtime.registry import load_node_class
from cardan.runtime.vitals import NodeVitals, Vitals, open_vitals

EXIT_FAILED = 1
EXIT_CANNOT_START = 2
FIRST_START_WAIT_S = 3.0
RESTART_WAIT_S = 0.1
"""How long a publisher waits for its readers: all start together at first, after a restart they are there."""
LAST_NEWS_WAIT_S = 0.02
LAST_NEWS_S = 0.5
"""A node that reads many topics (recorder, outbox) is stopped last; it takes what is still arriving until 20 ms pass
without a message, for half a second at most."""
READY = b"1"
ENDED_BY_ITSELF, ENDED_BY_SIGNAL, ENDED_BY_FAILURE = b"F", b"S", b"E"
"""What the readiness pipe carries: one byte when the node is ready, one when it has left its loop and closes."""


class NodeProcess:
    """Runs one node of a plan in this process."""

    def __init__(self, plan: Plan, birth: Birth) -> None:
        self._plan = plan
        self._birth = birth
        self._node_plan = plan.node(birth.node)
        self._paths = birth.paths
        self._starts = birth.starts
        self._bus = NodeBus(plan, birth.node, birth.paths, birth.starts, birth.wake)
        self._clock = MonotonicClock()
        self._stop = StopFlag()
        self._noter: StepNoter | None = None
        self._log = logging.getLogger(f"cardan.{birth.node}")

    def run(self) -> int:
        """Live through the node's life; returns the exit code."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._stop.request())
        page = open_vitals(self._paths.vitals, self._plan, writable=True)
        vitals = page.nodes[self._node_plan.name]
        try:
            self._apply_settings(vitals)
            return self._live(page, vitals)
        except CardanError as error:
            self._log.error("%s", error, extra=coded("node-error"))
            vitals.report_fault(self._clock.now_ns(), "node-error", str(error).replace("\n  ", " - "))
            return EXIT_FAILED
        except Exception as error:
            self._log.error("%s", traceback.format_exc(), extra=coded("crash"))
            vitals.report_fault(self._clock.now_ns(), "crash", _one_line(error))
            return EXIT_FAILED

    def _apply_settings(self, vitals: NodeVitals) -> None:
        plan, realtime = self._node_plan, self._plan.profile.realtime
        settings.name_process(f"cardan-{plan.name}")
        differences = [settings.apply_cores(plan.cores)]
        if plan.nice is not None and not plan.realtime:
            differences.append(settings.apply_nice(plan.nice))
        if plan.realtime and realtime.scheduler != "other":
            differences.append(settings.apply_fifo(plan.priority or realtime.priority))
            differences.append(settings.lock_memory() if realtime.memory_lock else None)
        if plan.rate_hz is not None and plan.rate_hz >= SPIN_FROM_HZ:
            settings.sharpen_timers()
        for difference in filter(None, differences):
            self._log.warning("setting not as wished: %s", difference, extra=coded("setting"))
            if realtime.scheduler == "fifo" and plan.realtime:
                vitals.report_fault(self._clock.now_ns(), "setting", difference)

    def _live(self, page: Vitals, vitals: NodeVitals) -> int:
        plan = self._node_plan
        node_class = load_node_class(plan.use, plan.sys_path)
        node: Node = node_class()
        path = notes_path(self._paths.bus, plan.name)
        clock = NotingClock() if plan.notes_steps and path.exists() else None
        wire = Wire(self._plan, plan, page, clock or self._clock, self._paths.frames)
        with ExitStack() as opened:
            opened.callback(wire.close)
            publisher = opened.enter_context(self._bus.publisher(wire.schemas(node_class)))
            if clock is not None:
                self._noter = StepNoter(path, plan, vitals, clock, self._starts)
                opened.callback(self._noter.close)
            wire.connect(node, make_context(self._plan, plan.name, self._paths, page), publisher.send, self._starts)
            with self._bus.subscriber(wire.subscriptions()) as subscriber:
                self._open_and_run(node, vitals, wire, publisher, subscriber)
        return 0

    def _open_and_run(
        self, node: Node, vitals: NodeVitals, wire: Wire, publisher: PublishingEnd, subscriber: ReadingEnd
    ) -> None:
        ending = ENDED_BY_FAILURE
        try:
            node.open()
            if self._noter is not None:
                self._noter.ended(self._clock.now_ns())
            self._wait_for_readers(publisher)
            os.write(self._birth.ready_fd, READY)
            if self._wait_for_go(self._birth.go_fd):
                settings.read_back(vitals, self._node_plan.cores, self._birth.group, self._clock.now_ns())
                self._loop(node, vitals, wire, publisher, subscriber).run()
                self._take_last_news(wire, subscriber)
            ending = ENDED_BY_SIGNAL if self._stop.requested else ENDED_BY_ITSELF
        except StopRequested:
            ending = ENDED_BY_SIGNAL
        finally:
            with suppress(OSError):
                os.write(self._birth.ready_fd, ending)
            node.close()

    def _wait_for_readers(self, publisher: PublishingEnd) -> None:
        wait_s = FIRST_START_WAIT_S if self._starts == 1 else RESTART_WAIT_S
        expected = {o.topic.encode(): o.subscribers for o in self._node_plan.outputs if o.subscribers}
        with self._interruptible():
            if not publisher.wait_for_readers(expected, self._clock, wait_s):
                self._log.warning("started before all readers had subscribed")

    def _wait_for_go(self, go_fd: int) -> bool:
        with self._interruptible():
            readable([go_fd])
            return os.read(go_fd, 1) == b"1"

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A wait that a stop request ends at once, with StopRequested."""
        self._stop.waiting = True
        try:
            if self._stop.requested:
                raise StopRequested
            yield
        finally:
            self._stop.waiting = False

    def _take_last_news(self, wire: Wire, subscriber: ReadingEnd) -> None:
        if not any(item.many for item in self._node_plan.inputs):
            return
        end_ns = self._clock.now_ns() + ns(LAST_NEWS_S)
        quiet_ns = self._clock.now_ns()
        while (now_ns := self._clock.now_ns()) < end_ns:
            if subscriber.drain(wire.deliver):
                quiet_ns = now_ns
            elif now_ns - quiet_ns >= ns(LAST_NEWS_WAIT_S):
                return
            subscriber.wait(LAST_NEWS_WAIT_S / 4)

    def _loop(
        self, node: Node, vitals: NodeVitals, wire: Wire, publisher: PublishingEnd, subscriber: ReadingEnd
    ) -> Loop:
        subscriber.watch(node._wake_descriptors)

        def drain() -> None:
            subscriber.drain(wire.deliver)
            publisher.serve()
            if self._noter is not None:
                self._noter.begins()

        plan = self._node_plan
        return Loop(
            node,
            vitals,
            self._clock,
            rate_hz=plan.rate_hz,
            stepped_by=plan.stepped_by,
            drain=drain,
            wait=lambda timeout_ms: subscriber.wait(timeout_ms / 1000),
            stop=self._stop,
            realtime=plan.realtime,
            look_every_ns=subscriber.look_every_ns,
            phase_ns=None if plan.phase_s is None else ns(plan.phase_s),
            noter=self._noter,
        )


def _one_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}{where}"


def run_node(birth: Birth, plan: Plan | None = None) -> int:
    """Be the process of this node from here on; returns the exit code. plan: where it is at hand already."""
    log_to_file(birth.paths, birth.node)
    log = logging.getLogger(f"cardan.{birth.node}")
    problem = group.join(birth.group)
    if problem:
        log.warning("without a control group of its own: %s", problem)
    try:
        return NodeProcess(plan or read_plan(birth.paths.plan), birth).run()
    except CardanError as error:
        log.error("%s", error)
        return EXIT_CANNOT_START


def main(arguments: list[str]) -> int:
    """`BIRTH`, as JSON: run a node in a fresh interpreter."""
    birth = msgspec.json.decode(arguments[0], type=Birth)
    if not settings.die_with_parent(birth.parent_pid):
        return EXIT_CANNOT_START
    if not birth.standby:
        return run_node(birth)
    log_to_file(birth.paths, birth.node)
    taken_over = stand_by(birth)
    return 0 if taken_over is None else run_node(taken_over)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
