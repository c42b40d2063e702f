"""A whole plan in one process, on a fake clock: the same messages at the same times whenever it is run.

For tests of several nodes together and for replay. Nodes are stepped as their loops would step them, in the order of
their deadlines and, at the same moment, of the plan; a step takes no time. What waits for a device has no place here.
Nodes that are left out may be played by somebody who says what they said: `feed`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cardan.runtime.bus.codec import MessageEncoder
from cardan.runtime.bus.envelope import Sample, pack
from cardan.runtime.bus.local import LocalBus, LocalPublisher, LocalSubscriber
from cardan.runtime.clock import NS_PER_S, FakeClock, ns
from cardan.runtime.errors import NodeError
from cardan.runtime.node.node import Node
from cardan.runtime.node.stepper import Stepper, triggers_of
from cardan.runtime.node.wiring import Wire, make_context
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.registry import load_node_class
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import Vitals, create_vitals


class Rehearsal:
    """Opens every node of `plan` and steps them in turn. Close it (or use it as a context manager).

    folder: gets the vitals and the nodes' data. nodes: classes to use in place of those that the plan names. only:
    nodes that take part, all if None. start_ns: where the clock begins. moments: node -> when to step it, in place of
    its rate; monotonic nanoseconds, in order.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        nodes: dict[str, type[Node]] | None = None,
        *,
        only: Collection[str] | None = None,
        start_ns: int | None = None,
        moments: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.plan = plan
        self.clock = FakeClock() if start_ns is None else FakeClock(start_ns)
        self.bus = LocalBus()
        paths = RunPaths(folder, folder)
        self.vitals: Vitals = create_vitals(
            paths.vitals, plan, now_ns=self.clock.now_ns(), wall_ns=self.clock.wall_ns()
        )
        self._actors: dict[str, _Actor] = {}
        with ExitStack() as closing:
            closing.callback(self.vitals.close)
            for node in plan.nodes:
                if only is not None and node.name not in only:
                    continue
                kind = (nodes or {}).get(node.name) or load_node_class(node.use, node.sys_path)
                self._actors[node.name] = actor = _Actor(self, node, kind, paths, (moments or {}).get(node.name))
                closing.callback(actor.close)
            for actor in self._actors.values():
                actor.listen()
            for actor in self._actors.values():
                actor.open()
            self._closing = closing.pop_all()

    def node(self, name: str) -> Any:
        """The live node of that name, with its ports."""
        return self._actors[name].node

    def run_for_s(self, duration_s: float) -> None:
        """Let time pass: every deadline within it is met, the last moment included."""
        self.run_until(self.clock.now_ns() + ns(duration_s), len(self.plan.nodes))

    def run_until(self, end_ns: int, index: int) -> None:
        """Let time pass up to a moment; at that moment step only nodes that stand before `index` in the plan."""
        while (due := self._next()) is not None and (due.due_ns, due.index) < (end_ns, index):
            self.clock.sleep_until_ns(due.due_ns)
            due.step()
            self._pass_on()
        self.clock.sleep_until_ns(end_ns)

    def _next(self) -> _Actor | None:
        return min(self._actors.values(), key=lambda actor: (actor.due_ns, actor.index), default=None)

    def feed(self, publisher: LocalPublisher, samples: Iterable[Sample[Any]]) -> None:
        """Say what a node that is left out said in one step, now, with the envelopes that it had."""
        for sample in samples:
            encoder = MessageEncoder(type(sample.value))
            header = pack(
                sample.seq, sample.sent_ns, sample.origin_ns, encoder.schema, sample.epoch, valid=sample.valid
            )
            publisher.send(sample.topic.encode(), header, encoder.encode(sample.value))
        self._pass_on()

    def _pass_on(self) -> None:
        """Step whoever is stepped by what was just sent, until nobody has news."""
        while any([actor.step_on_news() for actor in self._actors.values()]):
            continue

    def close(self) -> None:
        """Close every node, the last of the plan first."""
        self._closing.close()

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Actor:
    """One node of a rehearsal: its ends, and when it is due."""

    def __init__(
        self, rehearsal: Rehearsal, plan: NodePlan, kind: type[Node], paths: RunPaths, moments: Sequence[int] | None
    ) -> None:
        self.index = plan.index
        self._moments = None if moments is None else deque(moments)
        self._rehearsal = rehearsal
        self._plan = plan
        self._clock = rehearsal.clock
        self._period_ns = round(NS_PER_S / plan.rate_hz) if plan.rate_hz else 0
        self._wire = Wire(rehearsal.plan, plan, rehearsal.vitals, self._clock, None)
        latched = [output.topic for output in plan.outputs if output.latched]
        self._publisher = rehearsal.bus.publisher(plan.name, self._wire.schemas(kind), latched)
        self.node: Node = kind()
        context = make_context(rehearsal.plan, plan.name, paths, rehearsal.vitals)
        self._wire.connect(self.node, context, self._publisher.send, epoch=1)
        self._stepper = Stepper(self.node, rehearsal.vitals.nodes[plan.name], self._clock)
        self._triggers = triggers_of(self.node, plan.stepped_by)
        self._subscriber: LocalSubscriber | None = None
        self._opened = False
        self.due_ns = self._clock.now_ns() if self._period_ns else _NEVER
        if self._moments is not None:
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        """When the node is stepped by time the next time."""
        if self._moments is not None:
            self.due_ns = self._moments.popleft() if self._moments else _NEVER
        elif self._period_ns:
            self.due_ns = self._clock.now_ns() + self._period_ns

    def listen(self) -> None:
        """Read from now on, before anybody sends."""
        self._subscriber = self._rehearsal.bus.subscriber(self._wire.subscriptions())

    def open(self) -> None:
        self._opened = True
        self.node.open()
        if self.node._wake_descriptors:
            raise NodeError(
                f'node "{self._plan.name}" waits for a device, which no rehearsal has',
                hint="replace it by what its device said: a recording",
            )

    def step_on_news(self) -> bool:
        """Step if an input that steps this node has news, or it has asked for it; True when it did."""
        if not self._triggers or self._moments is not None or self.node._finished:
            return False
        self._drain()
        if not (self.node._again or any(trigger.new for trigger in self._triggers)):
            return False
        self.step()
        return True

    def step(self) -> None:
        """One cycle, as the loop of a process makes it."""
        self._wait_for_next()
        self._drain()
        self.node._again = False
        self._stepper.step(self._clock.now_ns())
        if self.node._finished:
            self.due_ns = _NEVER

    def _drain(self) -> None:
        if self._subscriber is not None:
            self._subscriber.drain(self._wire.deliver)

    def close(self) -> None:
        """Close the node if it was opened, also half-way, and leave the bus."""
        if self._opened:
            self.node.close()
        if self._subscriber is not None:
            self._subscriber.close()
        self._publisher.close()
        self._wire.close()


_NEVER = 1 << 62
