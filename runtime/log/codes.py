"""Every code of the event log that is no fault: one row each. Faults are in cardan.runtime.faults."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One row of the table."""

    code: str
    meaning: str


EVENTS = (
    Event("note", "a remark of a node that has no code of its own"),
    Event("output", "a line that a process printed; it has the time of the record before it"),
    Event("run-starting", "the supervisor has loaded the code of the nodes"),
    Event("run-groups", "where the control groups of the nodes are, or why there are none"),
    Event("run-began", "all nodes were let go together"),
    Event("run-state", "the state of the whole run has changed"),
    Event("run-mode-normal", "nothing is missing any more"),
    Event("run-stopping", "the run ends, and why"),
    Event("run-ended", "the last node has ended; the exit code of the run"),
    Event("run-verdict", "`ok`, or the first cause"),
    Event("wakeup-latency", "how long processors may take to wake up"),
    Event("watchdog-armed", "the hardware watchdog resets the computer when it is not fed"),
    Event("node-start", "a process was made for a node"),
    Event("node-ready", "a node has opened what it needs"),
    Event("node-exit", "the process of a node has ended as it should"),
    Event("node-restart", "a node will be started again"),
    Event("node-finished", "a node has done its work"),
    Event("node-stop", "a node was asked to stop"),
    Event("engagement", "who drives has changed: `before`, `after`, and the one `cause`"),
    Event("well-again", "what a node had reported as its condition is over"),
    Event("engine-serves", "which network serves an engine from now on: `model`, `sha256`, `backend`, `precision`"),
    Event("machine-sample", "temperature, memory, pressure, throttling and disk of the computer"),
    Event("nodes-sample", "overruns, missed cycles and losses of the nodes since the sample before"),
)


def find_event(code: str) -> Event | None:
    """The row of a code that is no fault."""
    return next((event for event in EVENTS if event.code == code), None)
