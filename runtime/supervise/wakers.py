"""The eventfds that wake up nodes: made once for a run, from its graph, and handed to every process that needs them.

A node keeps its eventfd over restarts, so nobody who wakes it up has to learn anything new.
"""

from __future__ import annotations

import os

from cardan.runtime.bus.ring_ends import WakeFds, wakes, woken_by
from cardan.runtime.plan import Plan


class Wakers:
    """One eventfd for each node that is stepped by an input, where messages travel in rings."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._fds = {
            node.name: os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            for node in plan.nodes
            if plan.bus == "ring" and wakes(node)
        }

    def of(self, node: str) -> WakeFds:
        """What the process of `node` is handed."""
        readers = {name for names in woken_by(self._plan, node).values() for name in names}
        return WakeFds(own=self._fds.get(node), readers={name: self._fds[name] for name in readers & set(self._fds)})

    def close(self) -> None:
        for descriptor in self._fds.values():
            os.close(descriptor)
        self._fds = {}
