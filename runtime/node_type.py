"""What a node class declares, for people: its ports and every setting of its `config`."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from cardan.runtime.bus.ports import Input
from cardan.runtime.keys import Table, tables_of
from cardan.runtime.node import Node
from cardan.runtime.registry import load_node_class, resolve


class InputRow(msgspec.Struct, frozen=True, kw_only=True):
    """One input."""

    name: str
    type: str
    takes: str
    """How: the newest message, a queue, many topics; how old it may be."""
    optional: bool


class OutputRow(msgspec.Struct, frozen=True, kw_only=True):
    """One output."""

    name: str
    type: str
    latched: bool
    """A reader that starts late gets the last message."""


class NodeType(msgspec.Struct, frozen=True, kw_only=True):
    """One node class."""

    use: str
    path: str
    """`module:Class`."""
    about: str
    rate_hz: float | None
    """Steps a second where the manifest does not say; None: it must, or something else steps it."""
    stepped_by: str | None
    """Input whose messages step it; `*`: any."""
    inputs: list[InputRow]
    outputs: list[OutputRow]
    metrics: dict[str, str]
    """Name -> unit."""
    settings: list[Table]
    """The table `config`, and those inside of it."""


def node_type(use: str, folders: list[str]) -> NodeType:
    """What `use` of a manifest names; NodeError when it cannot be loaded. folders: where a user's own modules lie."""
    path = resolve(use)
    node_class = load_node_class(path, folders)
    ports = node_class.ports()
    return NodeType(
        use=use,
        path=path,
        about=_paragraphs(node_class),
        rate_hz=node_class.rate_hz,
        stepped_by=node_class.stepped_by,
        inputs=[
            InputRow(name=name, type=item.type.__name__, takes=_takes(item), optional=item.optional)
            for name, item in ports.inputs.items()
        ],
        outputs=[
            OutputRow(name=name, type=item.type.__name__, latched=item.latched) for name, item in ports.outputs.items()
        ],
        metrics={name: item.unit for name, item in ports.metrics.items()},
        settings=tables_of(node_class.config_type(), ("config",)),
    )


def _paragraphs(node_class: type[Node]) -> str:
    """Its docstring, a line for each paragraph."""
    text = inspect.cleandoc(node_class.__doc__ or "")
    return "\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _takes(item: Input[Any]) -> str:
    how = f"queue of {item.queue}" if item.queue else "each message" if item.many else "the newest"
    parts = [
        "many topics" if item.many else "",
        how,
        f"at most {item.max_age_s:g} s old" if item.max_age_s is not None else "",
        f"at least {item.min_rate_hz:g} Hz" if item.min_rate_hz is not None else "",
    ]
    return ", ".join(filter(None, parts))
