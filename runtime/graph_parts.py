"""The parts of a graph: each node of the manifest with its class, ports, settings, and rate."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cardan.runtime.errors import CardanError
from cardan.runtime.findings import Findings, ObjectedError
from cardan.runtime.graph_engines import engines_of_hosts, places_of, with_engines
from cardan.runtime.manifest import EngineEntry, Manifest, NodeEntry
from cardan.runtime.messages import Message, type_name
from cardan.runtime.node import Node, NodeConfig
from cardan.runtime.node.node import Ports
from cardan.runtime.profile import Profile
from cardan.runtime.registry import lies_beside, load_node_class, resolve
from cardan.runtime.toml_convert import convert_table
from cardan.runtime.toml_lines import TomlPath


@dataclass(frozen=True)
class Part:
    """One node whose class could be loaded."""

    name: str
    entry: NodeEntry
    use: str
    """`module:Class`."""
    sys_path: list[str]
    node_class: type[Node]
    ports: Ports
    config: NodeConfig | None
    """None when it has findings."""
    places: dict[str, TomlPath] = field(default_factory=dict)
    """Inputs that are written elsewhere than in the `inputs` table of the node -> where."""

    def place_of(self, port: str) -> TomlPath:
        """Where the manifest wires an input."""
        return self.places.get(port, (*self.path, "inputs", port))

    @property
    def path(self) -> tuple[str, str]:
        """Where the node stands in the manifest."""
        return ("nodes", self.name)

    @property
    def own_rate_hz(self) -> float | None:
        """The rate of the manifest, else of the class."""
        return self.entry.rate_hz if self.entry.rate_hz is not None else self.node_class.rate_hz


@dataclass(frozen=True)
class Topic:
    """One output of a part."""

    name: str
    part: Part
    port: str
    type: type[Message]


@dataclass
class Graph:
    """A manifest that is being checked against its node classes and a profile."""

    manifest: Manifest
    profile: Profile | None
    """None when the profile has findings: nothing is checked against it."""
    parts: dict[str, Part] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    wires: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """(node, input) -> topics it reads; absent when the input is not wired or its wiring has findings."""

    @property
    def findings(self) -> Findings:
        return self.manifest.findings

    @property
    def unknown(self) -> set[str]:
        """Nodes that are in the manifest but cannot be looked into; nobody is blamed for reading from them."""
        return (set(self.manifest.nodes) | self.manifest.broken_nodes) - set(self.parts)

    def source_of(self, part: Part, port: str) -> Topic | None:
        """The topic that an input for one topic reads, or None."""
        wired = self.wires.get((part.name, port), [])
        return self.topics.get(wired[0]) if len(wired) == 1 else None


def load_parts(manifest: Manifest, profile: Profile | None) -> Graph:
    """The graph with every node that can be loaded, and its topics; what cannot is a finding."""
    graph = Graph(manifest, profile)
    loaded = [part for name, entry in manifest.nodes.items() if (part := _load_part(name, entry, manifest)) is not None]
    hosts = [part.name for part in loaded if part.node_class.hosts_engines]
    engines = engines_of_hosts(manifest, hosts, all_known=len(loaded) == len(manifest.nodes))
    for bare in loaded:
        part = _with_settings(bare, engines.get(bare.name, {}), manifest)
        if part is None:
            continue
        name = part.name
        graph.parts[name] = part
        for port, output in part.ports.outputs.items():
            topic = Topic(f"{name}/{port}", part, port, output.type)
            graph.topics[topic.name] = topic
    return graph


def _load_part(name: str, entry: NodeEntry, manifest: Manifest) -> Part | None:
    folder = manifest.folder.resolve()
    try:
        use = resolve(entry.use)
        sys_path = [str(folder)] if lies_beside(use, folder) else []
        node_class = load_node_class(use, sys_path or _folder_of_own(entry, folder))
        ports, _ = node_class.ports(), node_class.config_type()
    except CardanError as error:
        manifest.findings.add(("nodes", name, "use"), error.message, error.hint or "correct the class")
        return None
    return Part(name, entry, use, sys_path, node_class, ports, None)


def _with_settings(part: Part, engines: dict[str, EngineEntry], manifest: Manifest) -> Part | None:
    """The part with its settings, and the ports that follow from them; None when nobody can say what those are."""
    if part.node_class.hosts_engines:
        part = replace(part, entry=with_engines(part.entry, engines), places=places_of(engines))
    config = _config(part.name, part.entry.config, part.node_class.config_type(), manifest.findings)
    part = replace(part, config=config)
    if "ports_for" not in _overridden(part.node_class):
        return part
    return None if config is None else _with_ports(part, config, manifest)


def _with_ports(part: Part, config: NodeConfig, manifest: Manifest) -> Part | None:
    folder = manifest.folder.resolve()
    try:
        ports = part.node_class.ports_for(config, part.sys_path or [str(folder)])
    except ObjectedError as error:
        for path, what, remedy in error.objections:
            manifest.findings.add(path, what, remedy)
        return None
    except CardanError as error:
        manifest.findings.add((*part.path, "config"), error.message, error.hint or "correct the settings")
        return None
    uses = [type_name(port.type) for port in ports.inputs.values()]
    uses += [type_name(port.type) for port in ports.outputs.values()]
    beside = any(lies_beside(use, folder) for use in uses)
    return replace(part, ports=ports, sys_path=[str(folder)] if beside else part.sys_path)


def _overridden(node_class: type[Node]) -> set[str]:
    """Methods that a node class has of its own."""
    return {name for owner in node_class.__mro__ if owner not in (Node, object) for name in vars(owner)}


def _folder_of_own(entry: NodeEntry, folder: Path) -> list[str]:
    """A `module:Class` is expected beside the manifest, even when nothing of that name is there yet."""
    return [str(folder)] if ":" in entry.use else []


def _config(name: str, table: dict[str, Any], config_type: type[NodeConfig], findings: Findings) -> NodeConfig | None:
    path = ("nodes", name, "config")
    try:
        return convert_table(table, config_type, path, findings)
    except (NameError, TypeError) as error:
        remedy = f"correct the annotations of {config_type.__name__}"
        findings.add(path, f"the settings of {config_type.__name__} cannot be read: {error}", remedy)
        return None
