"""Restart a node of an active run from outside: its process is asked to end, and the supervisor brings it back.

Whoever asks has made sure before that nobody drives.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from cardan.runtime.clock import Clock, ns
from cardan.runtime.plan import NodePlan
from cardan.runtime.vitals import NodeState, NodeVitals

BACK_WITHIN_S = 15.0


def against_restart(node: NodePlan) -> str:
    """Why a node should not be ended; empty when it would come back."""
    return f'{node.name} would not be started again (restart = "never")' if node.restart == "never" else ""


class Restart:
    """One restart that was begun: made by `begin`, followed with `poll`."""

    def __init__(self, name: str, vitals: NodeVitals, starts: int, clock: Clock) -> None:
        self.name = name
        self._vitals = vitals
        self._starts = starts
        self._clock = clock
        self._until_ns = clock.now_ns() + ns(BACK_WITHIN_S)

    @classmethod
    def begin(cls, name: str, vitals: NodeVitals, clock: Clock) -> Restart | None:
        """Ask the node's process to end; None when it does not run."""
        starts = vitals.words[NodeVitals.STARTS]
        if vitals.state not in (NodeState.RUNNING, NodeState.LATE) or not _end(vitals):
            return None
        return cls(name, vitals, starts, clock)

    @property
    def starts(self) -> int:
        """How often the node was started in this run."""
        return self._vitals.words[NodeVitals.STARTS]

    @property
    def state(self) -> str:
        return self._vitals.state.name.lower()

    def poll(self) -> bool | None:
        """True when the node is back, False when it is not after BACK_WITHIN_S, None before. Never blocks."""
        if self.starts > self._starts and self._vitals.state is NodeState.RUNNING:
            return True
        return False if self._clock.now_ns() > self._until_ns else None


def _end(vitals: NodeVitals) -> bool:
    """Ask the process to end as the supervisor would; the supervisor starts it again by its own rules."""
    pid = vitals.words[NodeVitals.PID]
    if pid <= 0:
        return False
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if vitals.words[NodeVitals.PID] != pid:  # it has ended meanwhile, and the number may be somebody else's
                return False
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            return True
        finally:
            os.close(descriptor)
    return False
