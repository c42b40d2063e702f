"""`cardan node types`: what `use` of a manifest may name."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.errors import NodeError
from cardan.runtime.registry import load_node_class, node_names


class TypeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node class."""

    use: str
    about: str
    """First sentence of its docstring, or why it cannot be loaded here."""
    path: str
    """`module:Class`."""


def run(arguments: argparse.Namespace) -> int:
    """Print them by name."""
    rows = [TypeRow(use=use, about=_about(path), path=path) for use, path in sorted(node_names().items())]
    if arguments.json:
        print(msgspec.json.encode({"schema_version": 1, "types": rows}).decode())
    else:
        width = max(len(row.use) for row in rows)
        write_lines([Line(safe_text(f"{row.use:<{width}}  {row.about}")) for row in rows], sys.stdout)
        write_lines([Line("`cardan node type USE` says more", "faint")], sys.stdout)
    return int(Exit.HEALTHY)


def _about(path: str) -> str:
    try:
        text = load_node_class(path, []).__doc__ or ""
    except NodeError as error:
        return error.message
    return " ".join(text.split("\n\n")[0].split())
