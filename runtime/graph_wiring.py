"""Wire the inputs of a graph: each reads topics that somebody publishes, of the type it takes."""

from __future__ import annotations

from fnmatch import fnmatchcase

from cardan.runtime.bus.ports import Input
from cardan.runtime.errors import near_names
from cardan.runtime.graph_parts import Graph, Part, Topic
from cardan.runtime.messages import AnyMessage, Message
from cardan.runtime.toml_lines import TomlPath

WILDCARDS = frozenset("*?[")


def wire(graph: Graph) -> None:
    """Fill `graph.wires` from the `inputs` tables."""
    for part in graph.parts.values():
        unknown = [port for port in part.entry.inputs if port not in part.ports.inputs]
        for port in unknown:
            _unknown_input(graph, part, port)
        for port, spec in part.ports.inputs.items():
            if port in part.entry.inputs:
                _wire_input(graph, part, port, spec)
            elif not spec.optional and not unknown:
                what = f"this input of {part.node_class.__name__} is not connected"
                graph.findings.add(_path(part, port), what, _suggest(graph, part, port, spec.type, many=spec.many))


def _path(part: Part, port: str) -> TomlPath:
    return part.place_of(port)


def _unknown_input(graph: Graph, part: Part, port: str) -> None:
    known = list(part.ports.inputs)
    remedy = near_names(port, known) if known else "remove it: this node reads no topic"
    graph.findings.add(_path(part, port), f'{part.node_class.__name__} has no input "{port}"', remedy)


def _wire_input(graph: Graph, part: Part, port: str, spec: Input[Message]) -> None:
    given = part.entry.inputs[port]
    names = [given] if isinstance(given, str) else given
    path = _path(part, port)
    if not spec.many and len(names) != 1:
        what = f"{len(names)} publishers for an input that reads one topic"
        graph.findings.add(path, what, _suggest(graph, part, port, spec.type, many=False))
        return
    topics: dict[str, Topic] = {}
    for at, name in enumerate(names):
        topics |= _expand(graph, part, name, path if isinstance(given, str) else (*path, at), many=spec.many)
    if not topics and not names and not spec.optional:
        graph.findings.add(path, "reads no topic", 'name topics, or write ["*"] for all')
    for topic in topics.values():
        _check_type(graph, part, spec, topic, path)
    if not graph.findings.touches(path):
        graph.wires[part.name, port] = list(topics)


def _expand(graph: Graph, part: Part, name: str, path: TomlPath, *, many: bool) -> dict[str, Topic]:
    """The topics that `name` stands for; empty with a finding, or when its node is one of the unknown ones."""
    if many and WILDCARDS.intersection(name):
        return _matching(graph, part, name, path)
    node, slash, _ = name.partition("/")
    if name in graph.topics and node != part.name:
        return {name: graph.topics[name]}
    if node == part.name and slash:
        graph.findings.add(path, f'"{name}" is an output of this node itself', "read from another node")
    elif node not in graph.unknown:
        what = f'no node publishes "{name}"' if slash else f'"{name}" is no topic'
        outputs = [topic for topic in graph.topics if topic.startswith(f"{node}/")]
        graph.findings.add(path, what, near_names(name, outputs or [t for t in graph.topics if not _is_own(t, part)]))
    return {}


def _matching(graph: Graph, part: Part, pattern: str, path: TomlPath) -> dict[str, Topic]:
    found = {name: t for name, t in graph.topics.items() if fnmatchcase(name, pattern) and not _is_own(name, part)}
    if not found and not graph.unknown:
        names = [name for name in graph.topics if not _is_own(name, part)]
        graph.findings.add(path, f'no topic matches "{pattern}"', near_names(pattern, names))
    return found


def _is_own(topic: str, part: Part) -> bool:
    return topic.startswith(f"{part.name}/")


def _check_type(graph: Graph, part: Part, spec: Input[Message], topic: Topic, path: TomlPath) -> None:
    if spec.type is AnyMessage or topic.type is spec.type:
        return
    what = f'"{topic.name}" carries {topic.type.__name__} and this input takes {spec.type.__name__}'
    graph.findings.add(path, what, _suggest(graph, part, spec.name, spec.type, many=spec.many))


def _suggest(graph: Graph, part: Part, port: str, wanted: type[Message], *, many: bool) -> str:
    """What to write for an input: the topics that carry its type."""
    fitting = [t.name for t in graph.topics.values() if t.type is wanted and not _is_own(t.name, part)]
    if many and wanted is AnyMessage:
        return f'write {port} = ["*"] for all topics'
    if not fitting:
        return f"add a node that publishes {wanted.__name__}"
    return "did you mean " + " or ".join(f'{port} = "{name}"' for name in fitting[:3]) + "?"
