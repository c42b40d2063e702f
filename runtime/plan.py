"""The plan: the checked graph of one vehicle on one computer, as the supervisor and the nodes read it.

`graph.build` makes a plan from a manifest and a profile; nothing after it reads the manifest again,
so what was checked is what runs. It is plain JSON in the run directory, readable without any node's code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.errors import RunError
from cardan.runtime.privacy.settings import PrivacySettings
from cardan.runtime.profile import Profile

ANY_INPUT = "*"
"""As `stepped_by`: news on any input steps the node."""


class InputPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a node, wired."""

    port: str
    topics: list[str]
    """`node/output` names; one, unless `many`. Empty for an optional input that is not wired."""
    max_age_s: float | None = None
    queue: int = 0
    """0 keeps the newest value only."""
    many: bool = False


class OutputPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a node: a topic."""

    port: str
    topic: str
    type: str
    """`module:Class` of its message type."""
    subscribers: int = 0
    """How many nodes of this plan read it: over ZeroMQ a publisher waits for them before it starts."""
    latched: bool = False
    """A reader that starts late gets the last message."""


class MetricPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity that a node keeps in the vitals."""

    name: str
    unit: str


class NodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One node: what to run, when, and what to do when it fails."""

    name: str
    index: int
    """Place in the start order and slot in the vitals."""
    use: str
    """`module:Class`."""
    sys_path: list[str] = []
    """Folders put first on the import path of this node (the manifest's, for a user's own nodes)."""
    config: dict[str, Any] = {}
    rate_hz: float | None = None
    stepped_by: str | None = None
    """Port of the input that steps this node, or ANY_INPUT; None when it is stepped by its rate."""
    inputs: list[InputPlan] = []
    outputs: list[OutputPlan] = []
    metrics: list[MetricPlan] = []
    channels: list[str] = []
    """CAN channels of the profile that this node opens."""
    critical: bool = False
    reactions: dict[str, str] = {}
    """What has happened to it (lost, restarting, hung, fault) -> the mode that follows, where the manifest says so."""
    reaction_text: str = ""
    """What a person is told then."""
    restart: str = "on-failure"
    """always, on-failure or never."""
    max_restarts: int = 10
    window_s: float = 60.0
    hang_limit_s: float | None = None
    """None: by its rate and scheduler."""
    start_timeout_s: float = 10.0
    stop_timeout_s: float = 2.0
    step_budget_s: float | None = None
    phase_s: float | None = None
    """It steps so long after the multiples of its period on the monotonic clock; None: it begins when it is started."""
    standby: bool = False
    """A spare process is kept, which takes over when this one ends."""
    notes_steps: bool = False
    """It notes what a replay needs to know of each step, for the recorder."""
    process: str = "fork"
    """fork (from the preloaded supervisor) or exec (a fresh interpreter)."""
    memory_max_mib: float | None = None
    cpu_weight: int | None = None
    """Limits of its control group, see NodeEntry."""
    nice: int | None = None
    realtime: bool = False
    priority: int = 0
    """Under SCHED_FIFO; 0 for a node that is not real-time."""
    stops_last: bool = False
    """It is asked to stop when all others have ended."""
    core_group: str | None = None
    cores: list[int] = []
    """CPU numbers; empty means all. A real-time node of a group with numbers stays on one of them."""

    def is_stepped_by(self, port: str) -> bool:
        """True when news on this input steps the node."""
        return self.stepped_by in (port, ANY_INPUT)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run needs to know."""

    name: str
    manifest: str
    """Path of the manifest."""
    manifest_sha256: str
    profile: Profile
    envelope: dict[str, dict[str, Any]]
    """Limits of each actuator signal, as in the manifest."""
    envelope_hash: str
    """First 16 hex digits of the SHA-256 of the canonical envelope; the bridge and control compare it."""
    nodes: list[NodePlan]
    """In start order."""
    privacy: PrivacySettings = PrivacySettings()
    """What may be kept and may leave."""
    stop_when: str | None = None
    """The run ends when this node has finished."""
    bus: str = "ring"
    """ring (shared memory) or zmq: how messages travel between the nodes."""
    ring_bytes: int = 1 << 20
    """Data of each ring."""

    def node(self, name: str) -> NodePlan:
        """The node called `name`; RunError when the plan has none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise RunError(f'no node "{name}" in the plan of {self.name}')

    def readers(self, topic: str) -> list[str]:
        """Names of the nodes that read `topic`, in plan order."""
        return [node.name for node in self.nodes if any(topic in item.topics for item in node.inputs)]

    def topics(self) -> dict[str, OutputPlan]:
        """Every topic with its output."""
        return {output.topic: output for node in self.nodes for output in node.outputs}


def write_plan(plan: Plan, path: Path) -> None:
    """Write `plan` as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=1))


def read_plan(path: Path) -> Plan:
    """Read a plan written by `write_plan`; RunError says what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise RunError(f"cannot read the plan {path}: {error}", hint="was the run stopped meanwhile?") from error
