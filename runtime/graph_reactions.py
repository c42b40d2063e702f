"""Reactions in a graph: every mode is one that cardan knows, and nothing a manifest says weakens a critical node."""

from __future__ import annotations

import re

from cardan.runtime.errors import near_names
from cardan.runtime.graph_parts import Graph
from cardan.runtime.graph_safety import is_bridge
from cardan.runtime.manifest import Reactions
from cardan.runtime.modes import DEGRADED, IGNORE, SAFE_STOP
from cardan.runtime.toml_lines import TomlPath

MODE = re.compile(f"{SAFE_STOP}|{IGNORE}|{DEGRADED}[a-z][a-z0-9_-]{{0,31}}")


def check_reactions(graph: Graph) -> None:
    """Record reactions of nodes that are not there, unknown modes, and safe stops that nobody can drive."""
    names = [*graph.manifest.nodes, *graph.manifest.broken_nodes]
    for name, reactions in graph.manifest.reactions.items():
        if name not in names:
            graph.findings.add(("reactions", name), f'there is no node "{name}"', near_names(name, names))
        else:
            _check(graph, name, reactions)


def _check(graph: Graph, name: str, reactions: Reactions) -> None:
    for happening, mode in reactions.declared().items():
        path: TomlPath = ("reactions", name, happening)
        if not MODE.fullmatch(mode):
            graph.findings.add(path, f'"{mode}" is no mode', f'write "{SAFE_STOP}", "{DEGRADED}NAME" or "{IGNORE}"')
        elif mode == SAFE_STOP and not graph.unknown and not any(map(is_bridge, graph.parts.values())):
            graph.findings.add(path, "no bridge is there that could stop the vehicle", f'write "{DEGRADED}NAME"')
    entry = graph.manifest.nodes.get(name)
    if entry is not None and entry.critical and reactions.lost not in (None, SAFE_STOP):
        what = "the loss of a critical node is a safe stop"
        graph.findings.add(("reactions", name, "lost"), what, "remove this line, or critical = true of the node")
