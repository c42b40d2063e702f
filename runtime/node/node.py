"""Node: one process with typed inputs and outputs and `open / step / close`; the runtime owns its loop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

import msgspec

from cardan.runtime.bus.ports import Input, Meter, Metric, Output
from cardan.runtime.bus.reader import Reader
from cardan.runtime.bus.writer import Inherited, Writer
from cardan.runtime.clock import Clock
from cardan.runtime.errors import NodeError
from cardan.runtime.findings import Objection
from cardan.runtime.log.node_log import coded
from cardan.runtime.privacy.settings import PrivacySettings
from cardan.runtime.profile import CanChannelSettings, Profile

if TYPE_CHECKING:
    from cardan.runtime.plan import NodePlan, Plan


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every node's settings: the manifest's `config` table, checked before anything starts."""


@dataclass(frozen=True)
class Ports:
    """What a node class declares, by name."""

    inputs: dict[str, Input[Any]] = field(default_factory=dict)
    outputs: dict[str, Output[Any]] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NodeContext:
    """What the run gives to a node."""

    name: str
    run_id: str
    run_dir: Path
    """Sockets and shared memory of this run; gone when the run ends."""
    data_dir: Path
    """Files that stay: recordings, outbox."""
    manifest_dir: Path
    """Folder of the manifest: relative paths in a node's config start here."""
    profile: Profile
    envelope: dict[str, dict[str, Any]]
    envelope_hash: str
    can_channels: dict[str, CanChannelSettings]
    rate_hz: float | None = None
    """Steps a second as the manifest asks for them."""
    stop_wanted: Callable[[], str] = lambda: ""
    """Why the supervisor asks for a safe stop at this moment; empty while it does not. Reads one word of the vitals."""
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    plan_json: bytes = b""
    """The whole plan as JSON, for nodes that record what ran."""


@dataclass(kw_only=True)
class Wiring:
    """The live parts that a started node holds; made by the loop or by a test bench."""

    config: NodeConfig
    clock: Clock
    context: NodeContext
    readers: dict[str, Reader[Any]]
    writers: dict[str, Writer[Any]]
    meters: dict[str, Meter]
    report_fault: Callable[[str, str], None]
    report_condition: Callable[[str], None] = lambda code: None


class Node:
    """Subclass it, declare ports, and write `step`. One instance lives in one process, on one thread.

    The loop calls `open` once, `step` at `rate_hz` (or when the input named by `stepped_by` has news, or when a file
    descriptor given to `wake_on` is readable), and `close` once, also after a failed `open`.
    """

    config: NodeConfig
    rate_hz: ClassVar[float | None] = None
    """Steps a second; for a node that waits for an input or a descriptor, the slowest it is stepped."""
    stepped_by: ClassVar[str | None] = None
    """Name of the input whose messages step this node, or ANY_INPUT."""
    stops_last: ClassVar[bool] = False
    """True for a node that takes away what others leave on the disk at their end: it stops when all others have."""
    hosts_engines: ClassVar[bool] = False
    """True for a node that runs the manifest's `[engines]`: they are handed to it as the setting `engines`."""
    preload: ClassVar[tuple[str, ...]] = ()
    """Modules that `open` imports and that start no thread: the supervisor imports them once for all forked nodes."""

    clock: Clock
    context: NodeContext
    log: logging.Logger
    _condition: str

    @classmethod
    def ports(cls) -> Ports:
        """The declared ports of this class, parents' first."""
        ports = Ports()
        for owner in reversed(cls.__mro__):
            for name, value in vars(owner).items():
                if isinstance(value, Input):
                    ports.inputs[name] = value
                elif isinstance(value, Output):
                    ports.outputs[name] = value
                elif isinstance(value, Metric):
                    ports.metrics[name] = value
        return ports

    @classmethod
    def ports_for(cls, config: NodeConfig, folders: list[str]) -> Ports:
        """The ports of a node with these settings: the declared ones, and those that follow from the settings.

        folders: where a user's own classes are looked for first. Any of our errors when they cannot be.
        """
        return cls.ports()

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """What is wrong with this node in a plan that is otherwise in order; asked before anything starts."""
        return []

    @classmethod
    def explain(cls, plan: Plan, node: NodePlan) -> list[str]:
        """Lines about this node for a person who asks for the plan (`cardan check`)."""
        return []

    @classmethod
    def wants_step_notes(cls, config: NodeConfig) -> bool:
        """True for a node that records what a replay needs to know of every other node's steps."""
        return False

    @classmethod
    def prepare(cls, config: NodeConfig, folders: list[str], folder: Path) -> None:
        """Import and read what `open` will need, in a spare process that may never open (`standby = true`).

        folders: as in `ports_for`. folder: of the manifest. Open no device, and touch no accelerator.
        """

    @classmethod
    def config_type(cls) -> type[NodeConfig]:
        """The type that the `config:` annotation names."""
        annotated = get_type_hints(cls).get("config", NodeConfig)
        if not (isinstance(annotated, type) and issubclass(annotated, NodeConfig)):
            raise NodeError(f"{cls.__name__}.config is annotated {annotated!r}", hint="annotate a NodeConfig subclass")
        return annotated

    def open(self) -> None:
        """Take what the node needs (devices, models, files). May be slow; the node is ready when it returns."""

    def step(self) -> None:
        """One cycle. Read inputs, decide, send outputs. Must not block."""
        raise NodeError(f"{type(self).__name__} has no step", hint="write `def step(self) -> None`")

    def close(self) -> None:
        """Release what `open` took, also when `open` failed half-way."""

    def wake_on(self, descriptor: int) -> None:
        """Step this node also when `descriptor` is readable. Call it in `open`."""
        self._wake_descriptors.append(descriptor)

    def step_again(self) -> None:
        """Step this node, which waits for news, once more as soon as its bus has been read: it has not done all yet."""
        self._again = True

    def finish(self) -> None:
        """End this node cleanly after the current step: its work is done (exit code 0)."""
        self._finished = True

    def report_fault(self, code: str, text: str) -> None:
        """Record the first fault of this node, with a short code and one line for people."""
        self.log.error("%s: %s", code, text, extra=coded(code))
        self._report_fault(code, text)

    def note(self, code: str, text: str, *, level: int = logging.INFO, **fields: Any) -> None:
        """One record in the event log, with a code and fields that a program can read (`cardan log`)."""
        self.log.log(level, "%s", text, extra=coded(code, **fields))

    def report_condition(self, code: str, text: str = "") -> None:
        """What is not as it should be at this moment, with a short code; empty when all is well again.

        Unlike a fault it passes. Say it as often as you like: only a change is kept and logged.
        """
        if code == self._condition:
            return
        self._condition = code
        self._report_condition(code)
        if code:
            self.log.warning("%s: %s", code, text, extra=coded(code, condition=True))
        else:
            self.log.info("all is well again", extra=coded("well-again"))

    def _wire(self, wiring: Wiring) -> None:
        """Called once by the runtime, before `open`."""
        self.config, self.clock, self.context = wiring.config, wiring.clock, wiring.context
        self.log = logging.getLogger(f"cardan.{wiring.context.name}")
        self._report_fault = wiring.report_fault
        self._report_condition = wiring.report_condition
        self._condition = ""
        self._wake_descriptors: list[int] = []
        self._finished = self._again = False
        self._readers = list(wiring.readers.values())
        self.__dict__.update(wiring.readers)
        self.__dict__.update(wiring.writers)
        self.__dict__.update(wiring.meters)


def inherited(readers: list[Reader[Any]]) -> Inherited:
    """What outputs inherit from these inputs."""
    watched = [reader for reader in readers if reader.wired and not reader.is_queue]

    def valid() -> bool:
        return all(reader.valid for reader in watched)

    def origin_ns() -> int:
        newest_ns = 0
        for reader in readers:
            found_ns = reader.origin_ns
            newest_ns = found_ns if found_ns > newest_ns else newest_ns
        return newest_ns

    return Inherited(valid, origin_ns)
