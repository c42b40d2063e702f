"""What keeps a vehicle safe in a graph: every actuator behind a bridge and an envelope, critical nodes restarted."""

from __future__ import annotations

from difflib import get_close_matches

from cardan.runtime.errors import near_names
from cardan.runtime.graph_parts import Graph, Part, Topic
from cardan.runtime.messages import ACTUATOR_SIGNALS
from cardan.runtime.toml_lines import TomlPath


def check_safety(graph: Graph) -> None:
    """Record actuators without limits or bridge, two bridges on one bus, and critical nodes that stay dead."""
    unknown_signals = _check_envelope_names(graph)
    for topic in graph.topics.values():
        if topic.type in ACTUATOR_SIGNALS:
            _check_envelope(graph, topic, unknown_signals)
            _check_bridge(graph, topic)
    _check_one_bridge_a_channel(graph)
    for part in graph.parts.values():
        _check_restart(graph, part)


def is_bridge(part: Part) -> bool:
    """A node that takes actuator commands."""
    return any(spec.type in ACTUATOR_SIGNALS for spec in part.ports.inputs.values())


def _check_envelope_names(graph: Graph) -> list[str]:
    known = sorted({signal for signals in ACTUATOR_SIGNALS.values() for signal in signals})
    unknown = [name for name in graph.manifest.envelope if name not in known]
    for name in unknown:
        graph.findings.add(("envelope", name), "no actuator command has this signal", near_names(name, known))
    return unknown


def _check_envelope(graph: Graph, topic: Topic, unknown_signals: list[str]) -> None:
    if not graph.manifest.envelope and graph.findings.touches(("envelope",)):
        return
    missing = [signal for signal in ACTUATOR_SIGNALS[topic.type] if signal not in graph.manifest.envelope]
    missing = [signal for signal in missing if not get_close_matches(signal, unknown_signals)]
    if missing:
        what = f'"{topic.name}" moves {" and ".join(missing)} without an envelope'
        remedy = f"add [envelope.{missing[0]}] with minimum, maximum and rate_per_s"
        graph.findings.add(topic.part.path, what, remedy)


def _check_bridge(graph: Graph, topic: Topic) -> None:
    """An actuator command goes to a bridge, and nowhere else does it have a meaning."""
    bridges = [part for part in graph.parts.values() if is_bridge(part)]
    wired = any(topic.name in graph.wires.get((p.name, port), []) for p in bridges for port in p.ports.inputs)
    uncertain = graph.unknown or any(graph.findings.touches((*part.path, "inputs")) for part in bridges)
    if wired or uncertain:
        return
    what = f'"{topic.name}" moves the vehicle but no bridge reads it'
    remedy = f'add a node with use = "bridge" and inputs = {{ command = "{topic.name}" }}'
    if bridges:
        remedy = f"connect it to {bridges[0].name}, or remove this node"
    graph.findings.add(topic.part.path, what, remedy)


def _check_one_bridge_a_channel(graph: Graph) -> None:
    first: dict[str, Part] = {}
    for part in graph.parts.values():
        for channel in channels_of(part) if is_bridge(part) else []:
            if channel in first:
                what = f'a second publisher of actuator frames on CAN channel "{channel}", beside {first[channel].name}'
                graph.findings.add((*part.path, "channels"), what, "keep one bridge on a channel")
            first.setdefault(channel, part)


def _check_restart(graph: Graph, part: Part) -> None:
    entry = part.entry
    if entry.critical and entry.restart == "never":
        graph.findings.add((*part.path, "restart"), "a critical node must come back", 'write "on-failure" or "always"')
    elif entry.critical and entry.max_restarts == 0:
        graph.findings.add((*part.path, "max_restarts"), "a critical node must come back", "write at least 1")


def channels_of(part: Part) -> list[str]:
    """The CAN channels that a node opens."""
    return list(dict.fromkeys(channel for _, channel in channel_places(part)))


def channel_places(part: Part) -> list[tuple[TomlPath, str]]:
    """CAN channels with the key that names them: `channels` of the node, `channel` or `channels` of its config."""
    found: list[tuple[TomlPath, str]] = [((*part.path, "channels"), channel) for channel in part.entry.channels]
    for key in ("channel", "channels"):
        value = getattr(part.config, key, None)
        values = [value] if isinstance(value, str) else value.values() if isinstance(value, dict) else value or []
        found += [((*part.path, "config", key), item) for item in values if isinstance(item, str) and item]
    return found
