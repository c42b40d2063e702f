"""What each command does. None of them reaches the bridge, a topic, or a node that drives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from cardan.runtime.clock import Clock, ns
from cardan.runtime.downlink.report import report_parts
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.restart import BACK_WITHIN_S, Restart, against_restart
from cardan.runtime.uplink.status import uplink_dir
from cardan.runtime.uplink.wishes import read_wishes, write_wishes
from cardan.runtime.vitals import Vitals

OUTBOX_WITHIN_S = 60.0
METERED = ("auto", "yes", "no")


class Done(NamedTuple):
    """How a command ended."""

    state: str
    """done, failed or refused."""
    reason: str = ""
    text: str = ""
    output: dict[str, Any] = {}  # noqa: RUF012 - a default of a tuple, never changed


class Doing(Protocol):
    """A command that was begun."""

    def poll(self) -> Done | None:
        """Go on; None while it is not over. Never blocks for long."""


class Means(NamedTuple):
    """What commands may use."""

    plan: Plan
    vitals: Vitals
    data_dir: Path
    logs: Path
    run_id: str
    clock: Clock
    parked: Callable[[], str]
    """Why the vehicle is not parked; empty when it is."""
    consented: Callable[[str], bool]
    put: Callable[[str, dict[str, Any]], bool]
    """Keep one record of a topic for the store; False when the outbox does not take it."""


class Immediate:
    """A command that is over at once."""

    def __init__(self, done: Done) -> None:
        self._done = done

    def poll(self) -> Done:
        return self._done


def begin(verb: str, arguments: dict[str, str], asked_by: str, means: Means) -> Doing:
    """Begin a command; what it must not do is refused here, with the reason."""
    expected = ARGUMENTS[verb]
    if set(arguments) != set(expected):
        wanted = ", ".join(expected) or "nothing"
        return _refused("arguments", f"{verb} takes {wanted}, and got {', '.join(sorted(arguments)) or 'nothing'}")
    if verb == "ping":
        return Immediate(_ping(means))
    if verb == "set-metered":
        return _set_metered(arguments["metered"], asked_by, means)
    if verb == "collect-bundle":
        return _collect(means)
    return _restart(arguments["node"], means)


ARGUMENTS = {"ping": (), "collect-bundle": (), "restart-node": ("node",), "set-metered": ("metered",)}
"""Verb -> the arguments it takes, all of them."""


def _refused(reason: str, text: str) -> Immediate:
    return Immediate(Done("refused", reason, text))


def _ping(means: Means) -> Done:
    uptime_s = (means.clock.now_ns() - means.vitals.words[Vitals.STARTED_NS]) // 1_000_000_000
    return Done("done", output={"run": means.run_id, "run_for_s": uptime_s, "mode": means.vitals.mode})


def _set_metered(metered: str, asked_by: str, means: Means) -> Immediate:
    if metered not in METERED:
        return _refused("arguments", f'metered is one of {", ".join(METERED)}, not "{metered}"')
    folder = uplink_dir(means.data_dir)
    wishes = msgspec.structs.replace(read_wishes(folder), metered=metered, by=asked_by, wall_ns=means.clock.wall_ns())
    try:
        write_wishes(folder, wishes)
    except OSError as error:
        return Immediate(Done("failed", "disk", f"{folder}: {error.strerror}"))
    return Immediate(Done("done", output={"metered": metered}))


# ------------------------------------------------------------------------------------------------ collect-bundle


def _collect(means: Means) -> Doing:
    if not means.consented("diagnostics"):
        return _refused("no-consent", "nobody has consented to the purpose diagnostics")
    return _Collecting(means)


class _Collecting:
    """A report as records, a few at a time."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._parts = report_parts(means.plan, means.vitals, means.data_dir, means.logs)
        self._part: dict[str, Any] | None = None
        self._until_ns = means.clock.now_ns() + ns(OUTBOX_WITHIN_S)
        self._count = 0
        self._bytes = 0

    def poll(self) -> Done | None:
        part = self._part = self._part or next(self._parts, None)
        if part is None:
            return Done("done", output={"records": self._count, "bytes": self._bytes})
        if not self._means.put("downlink/bundle", part):
            late = self._means.clock.now_ns() > self._until_ns
            return Done("failed", "outbox", f"the outbox took {self._count} records and no more") if late else None
        self._part = None
        self._count += 1
        self._bytes += len(part["text"])
        return None


# ------------------------------------------------------------------------------------------------ restart-node


def _restart(name: str, means: Means) -> Doing:
    node = next((node for node in means.plan.nodes if node.name == name), None)
    if node is None:
        return _refused("no-such-node", f'there is no node "{name}"')
    reason = _against_restart(node)
    if reason:
        return _refused("not-this-node", reason)
    against = means.parked()
    if against:
        return _refused("not-parked", against)
    vitals = means.vitals.nodes[name]
    begun = Restart.begin(name, vitals, means.clock)
    if begun is None:
        return _refused("not-running", f"{name} is {vitals.state.name.lower()}")
    return _Restarting(begun)


def _against_restart(node: NodePlan) -> str:
    """Nodes that drive, and nodes that would not come back, are not restarted from outside."""
    if node.critical or node.realtime:
        return f"{node.name} is part of driving"
    return against_restart(node) or ("it would end the command itself" if node.use.endswith(":Downlink") else "")


class _Restarting:
    """Waits until the supervisor has brought the node back."""

    def __init__(self, begun: Restart) -> None:
        self._begun = begun

    def poll(self) -> Done | None:
        begun = self._begun
        back = begun.poll()
        if back is None:
            return None
        if back:
            return Done("done", output={"node": begun.name, "starts": begun.starts})
        return Done("failed", "not-back", f"{begun.name} is {begun.state} after {BACK_WITHIN_S:g} s")
