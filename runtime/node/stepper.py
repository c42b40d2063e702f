"""One step of a node, and its account in the vitals: the same for the loop of a process and for a rehearsal."""

from __future__ import annotations

import gc
from typing import Any

from cardan.runtime.bus.reader import Reader
from cardan.runtime.clock import Clock
from cardan.runtime.node.node import Node
from cardan.runtime.node.step_notes import StepNoter
from cardan.runtime.plan import ANY_INPUT
from cardan.runtime.vitals import NodeVitals

COLLECT_EVERY = 100
"""Real-time nodes collect young garbage every so many steps, in the slack after the step."""


class Stepper:
    """Steps one node. noter: takes notes of each step for the recorder. Single-threaded."""

    def __init__(
        self,
        node: Node,
        vitals: NodeVitals,
        clock: Clock,
        *,
        realtime: bool = False,
        noter: StepNoter | None = None,
    ) -> None:
        self._node = node
        self._vitals = vitals
        self._clock = clock
        self._readers = node._readers
        self._realtime = realtime
        self._noter = noter

    def step(self, start_ns: int) -> int:
        """One cycle that begins at `start_ns`; returns when it ended. Exceptions of the node go to the caller."""
        words = self._vitals.words.cells
        words[NodeVitals.STEP_START_NS] = start_ns
        for reader in self._readers:
            reader.step_begins(start_ns)
        if self._noter is not None:
            self._noter.begins()
        self._node.step()
        end_ns = self._clock.now_ns()
        words[NodeVitals.STEP_END_NS] = end_ns
        self._vitals.log.note(words[NodeVitals.STEPS], start_ns, end_ns)
        words[NodeVitals.STEPS] += 1
        duration_ns = end_ns - start_ns
        self._vitals.step_time.add(duration_ns)
        if duration_ns > words[NodeVitals.WORST_STEP_NS]:
            words[NodeVitals.WORST_STEP_NS] = duration_ns
        if self._noter is not None:
            self._noter.ended(start_ns)
        for reader in self._readers:
            reader.step_done()
        if self._realtime and words[NodeVitals.STEPS] % COLLECT_EVERY == 0:
            gc.collect(0)
        return end_ns


def triggers_of(node: Node, stepped_by: str | None) -> list[Reader[Any]]:
    """The inputs whose messages step a wired node; none for one that is stepped by time or by devices."""
    if stepped_by is None:
        return []
    return node._readers if stepped_by == ANY_INPUT else [node.__dict__[stepped_by]]
