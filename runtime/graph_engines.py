"""Engines in a graph: each `[engines.NAME]` is handed to the node that runs it, as a setting and as one more input."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cardan.runtime.errors import near_names
from cardan.runtime.manifest import EngineEntry, Manifest, NodeEntry
from cardan.runtime.toml_lines import TomlPath

TABLE = "engines"


def input_port(engine: str) -> str:
    """The input of a host that gets the frames of an engine."""
    return f"{engine}.frame"


def engines_of_hosts(manifest: Manifest, hosts: Sequence[str], *, all_known: bool) -> dict[str, dict[str, EngineEntry]]:
    """Host -> its engines. An engine that no node runs is a finding, unless a node could not be looked into."""
    found: dict[str, dict[str, EngineEntry]] = {host: {} for host in hosts}
    uncertain = not all_known or bool(manifest.broken_nodes)
    for name, entry in manifest.engines.items():
        host = entry.host or (hosts[0] if len(hosts) == 1 else "")
        if host in found:
            found[host][name] = entry
        elif not (uncertain and (not entry.host or entry.host in (*manifest.nodes, *manifest.broken_nodes))):
            _no_host(manifest, name, entry, hosts)
    return found


def _no_host(manifest: Manifest, name: str, entry: EngineEntry, hosts: Sequence[str]) -> None:
    path: TomlPath = (TABLE, name, "host") if entry.host else (TABLE, name)
    if entry.host:
        manifest.findings.add(path, f'"{entry.host}" is no node that runs engines', near_names(entry.host, list(hosts)))
    elif hosts:
        what = f"{' and '.join(hosts)} run engines, and none is named"
        manifest.findings.add(path, what, f'write host = "{hosts[0]}"')
    else:
        manifest.findings.add(path, "no node runs engines", 'add [nodes.engines] with use = "engine-host"')


def with_engines(entry: NodeEntry, engines: dict[str, EngineEntry]) -> NodeEntry:
    """The entry of a host with its engines among its settings and inputs."""
    inputs = {input_port(name): engine.input for name, engine in engines.items()}
    settings = {name: msgspec.to_builtins(engine) for name, engine in engines.items()}
    return msgspec.structs.replace(
        entry, inputs={**entry.inputs, **inputs}, config={**entry.config, TABLE: settings} if settings else entry.config
    )


def places_of(engines: dict[str, EngineEntry]) -> dict[str, TomlPath]:
    """Where the inputs of the engines are written."""
    return {input_port(name): (TABLE, name, "input") for name in engines}
