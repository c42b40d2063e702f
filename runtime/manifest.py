"""The manifest: what runs in this vehicle. Read from TOML field by field, so that every mistake is found at its place.

A manifest is looked at twice: here for its shape alone, and in cardan.runtime.graph together with the node classes and
the hardware profile. Parts that are wrong in themselves are left out of the second look, so one mistake is one finding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cardan.runtime.findings import Findings
from cardan.runtime.limits import EnvelopeSignal, check_limits
from cardan.runtime.privacy.settings import PrivacySettings
from cardan.runtime.profile_file import check_schema
from cardan.runtime.toml_convert import convert_fields
from cardan.runtime.toml_document import TomlDocument, read_document

FILE_NAME = "vehicle.toml"
"""The manifest of a folder."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
"""Names of nodes and vehicles: they become names of topics, sockets and files."""

Text = Annotated[str, msgspec.Meta(min_length=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
RateHz = Annotated[float, msgspec.Meta(gt=0, le=10_000)]
Priority = Annotated[int, msgspec.Meta(ge=1, le=99)]
Niceness = Annotated[int, msgspec.Meta(ge=-20, le=19)]
CpuWeight = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[nodes.NAME]` table: one process. Its outputs are the topics `NAME/output`."""

    use: Text
    """Entry point of the group cardan.nodes, or `module:Class` beside the manifest."""
    rate_hz: RateHz | None = None
    """None: as the node class says."""
    inputs: dict[str, str | list[str]] = {}
    """Port -> topic `node/output`; for an input that takes many, a list of topics or patterns such as "*"."""
    restart: Literal["always", "on-failure", "never"] = "on-failure"
    """When its process has ended: always start it again, also when it had finished; unless it had finished; never."""
    critical: bool = False
    """The vehicle does not drive without it: its loss is a safe stop."""
    core: str | None = None
    """Core group of the profile; None: any core."""
    process: Literal["fork", "exec"] = "fork"
    """fork: from the supervisor, which has loaded the code (quick). exec: a fresh interpreter, for libraries that do
    not survive a fork (CUDA) or start threads when they are loaded."""
    standby: bool = False
    """Keep a spare process that has loaded everything and takes over when this one ends; needs process = "exec"."""
    realtime: bool = False
    """SCHED_FIFO, locked memory and no garbage collector inside a step, as the profile allows."""
    priority: Priority | None = None
    """Of a real-time node, higher runs first; None: by rate, the fastest gets the profile's."""
    memory_max_mib: Positive | None = None
    """Most memory that the node and what it starts may take together; beyond it the kernel ends them, and they are
    started again. Needs a control group with limits (the service has them); None: no limit."""
    cpu_weight: CpuWeight | None = None
    """Share of a busy processor against 100 of others, for a node that is not real-time; None: as all."""
    nice: Niceness | None = None
    """Of a node that is not real-time, against all processes of the computer: below 0 it comes before them when the
    processors are busy (needs LimitNICE= or CAP_SYS_NICE), above 0 behind them; None: as it is started."""
    step_budget_ms: Positive | None = None
    """Longest step; None: the whole period."""
    max_restarts: Count = 10
    """Within `window_s`; once more and it is not started again."""
    window_s: Positive = 60.0
    """See `max_restarts`."""
    hang_limit_ms: Positive | None = None
    """A running node that ends no step for this long is killed and started again; None: by its rate and scheduler."""
    start_timeout_s: Positive = 10.0
    """Until it is ready; then it is killed and started again."""
    stop_timeout_s: Positive = 2.0
    """After it was asked to end; then it is killed."""
    channels: list[str] = []
    """CAN channels of the profile that the node opens."""
    config: dict[str, Any] = {}
    """Its own settings: `cardan node type USE`, docs/nodes.md."""


class Reactions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[reactions.NODE]` table: what follows from what happens to a node.

    Each value is `safe-stop`, `degraded:NAME` or `ignore`. What is not said follows from `critical`: the loss of a
    critical node is a safe stop; everything else degrades the vehicle, named after the node; a fault has no effect.
    """

    lost: Text | None = None
    """It has failed too often and is not started again."""
    restarting: Text | None = None
    """It has ended and is being started again."""
    hung: Text | None = None
    """It gives no sign of life and is being killed."""
    fault: Text | None = None
    """It has reported a fault in this run."""
    text: str = ""
    """What a person is told then."""

    def declared(self) -> dict[str, str]:
        """Happening -> mode, of those that the manifest names."""
        values = {name: getattr(self, name) for name in ("lost", "restarting", "hung", "fault")}
        return {name: mode for name, mode in values.items() if mode is not None}


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[engines.NAME]` table: a network that runs on the frames of a topic; its result is the topic `HOST/NAME`."""

    use: Text
    """Entry point of the group cardan.engines, or `module:Class` beside the manifest: what reads its numbers."""
    model: Text
    """A shipped model, or a .toml file that starts at the manifest's folder."""
    input: Text
    """Topic of the frames."""
    host: str = ""
    """Node that runs it; may be left out where only one runs engines."""
    run_ms: Positive | None = None
    """The longest run that is reckoned with, reading the frame and publishing included; None: not declared."""
    deadline_ms: Positive | None = None
    """From capture to result; None: as the model says."""
    criticality: Literal["high", "medium", "low"] | None = None
    """Under overload the low ones wait first; None: as the model says."""
    config: dict[str, Any] = {}
    """Settings of what reads its numbers."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The keys at the top of the file."""

    name: Text
    """Of the vehicle."""
    profile: Text = "bench"
    """A shipped hardware profile (`cardan profile list`), or a .toml file that starts at the manifest's folder."""
    stop_when: str | None = None
    """Node whose end is the end of the run; None: it goes on until it is stopped."""
    bus: Literal["ring", "zmq"] = "ring"
    """How messages travel between the nodes: shared memory, or ZeroMQ."""
    nodes: dict[str, NodeEntry] = {}
    """Name -> process."""
    engines: dict[str, EngineEntry] = {}
    """Name -> network."""
    envelope: dict[str, EnvelopeSignal] = {}
    """Signal of the actuator command -> its limits."""
    reactions: dict[str, Reactions] = {}
    """Node -> what the vehicle can still do without it."""
    privacy: PrivacySettings = PrivacySettings()
    """What may be kept, and leave (docs/privacy.md)."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest that could be read, without its unusable parts."""

    path: Path
    sha256: str
    name: str
    profile: str
    stop_when: str | None
    bus: str
    """How messages travel between the nodes: ring or zmq."""
    nodes: dict[str, NodeEntry]
    """In the order of the file."""
    broken_nodes: frozenset[str]
    """Nodes with findings of their own: nothing is concluded from them."""
    engines: dict[str, EngineEntry] = field(default_factory=dict)
    """In the order of the file."""
    envelope: dict[str, dict[str, Any]]
    """Limits as they stand in the file, for the bridge."""
    reactions: dict[str, Reactions]
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    findings: Findings = field(repr=False)

    @property
    def folder(self) -> Path:
        """Where a user's own nodes and relative paths start."""
        return self.path.parent


def find_manifest(given: str | None) -> Path:
    """The manifest that a person named: a file, a folder with a vehicle.toml, or None for the reference vehicle."""
    if given is None:
        return Path(str(files("cardan.runtime.reference").joinpath(FILE_NAME)))
    path = Path(given).expanduser()
    return path / FILE_NAME if path.is_dir() else path


def read_manifest(path: Path) -> Manifest:
    """Read the manifest at `path`. Its `findings` are empty when its shape is right; never raises for its content."""
    document = read_document(path, str(path), "manifest")
    findings = document.findings
    if findings and not document.data:
        return _make(document, {}, {}, {})
    table = dict(document.data)
    check_schema(table, findings)
    values = convert_fields(table, Header, (), findings)
    nodes = values.get("nodes") or {}
    for name in nodes:
        _check_name(name, ("nodes", name), findings)
    for name in values.get("engines") or {}:
        _check_name(name, ("engines", name), findings)
    if not nodes and not findings.touches(("nodes",)):
        findings.add(("nodes",), "there is no node", 'add a table [nodes.NAME] with use = "..."')
    if isinstance(values.get("name"), str):
        _check_name(values["name"], ("name",), findings)
    envelope = values.get("envelope") or {}
    for name, limits in envelope.items():
        if limits is not None:
            check_limits(name, limits, ("envelope", name), findings)
    return _make(document, values, nodes, envelope)


def _make(
    document: TomlDocument,
    values: dict[str, Any],
    nodes: dict[str, NodeEntry | None],
    envelope: dict[str, EnvelopeSignal | None],
) -> Manifest:
    findings = document.findings
    broken = {name for name, entry in nodes.items() if entry is None or findings.touches(("nodes", name))}
    return Manifest(
        path=document.path,
        sha256=document.sha256,
        name=values.get("name") or "unnamed",
        profile=values.get("profile") or "bench",
        stop_when=values.get("stop_when"),
        bus=values.get("bus") or "ring",
        nodes={name: entry for name, entry in nodes.items() if entry is not None and name not in broken},
        broken_nodes=frozenset(broken),
        engines={
            name: entry
            for name, entry in (values.get("engines") or {}).items()
            if entry is not None and not findings.touches(("engines", name))
        },
        envelope={name: document.data["envelope"][name] for name in envelope},
        reactions={name: item for name, item in (values.get("reactions") or {}).items() if item is not None},
        privacy=values.get("privacy") or PrivacySettings(),
        findings=findings,
    )


def _check_name(name: str, path: tuple[str, ...], findings: Findings) -> None:
    if not NAME.fullmatch(name):
        remedy = "use 1 to 32 lower-case letters, digits, _ and -, a letter first"
        findings.add(path, f'"{name}" cannot be a name', remedy)
