"""The parts of a graph: each node of the manifest with its class, ports, settings, and rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cardan.runtime.errors import CardanError
from cardan.runtime.findings import Findings
from cardan.runtime.manifest import Manifest, NodeEntry
from cardan.runtime.messages import Message
from cardan.runtime.node import Node, NodeConfig
from cardan.runtime.node.node import Ports
from cardan.runtime.profile import Profile
from cardan.runtime.registry import lies_beside, load_node_class, resolve
from cardan.runtime.toml_convert import convert_table


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
    for name, entry in manifest.nodes.items():
        part = _load_part(name, entry, manifest)
        if part is None:
            continue
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
        ports, config_type = node_class.ports(), node_class.config_type()
    except CardanError as error:
        manifest.findings.add(("nodes", name, "use"), error.message, error.hint or "correct the class")
        return None
    config = _config(name, entry.config, config_type, manifest.findings)
    return Part(name, entry, use, sys_path, node_class, ports, config)


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
