"""`cardan node type`: what a node class reads, says and measures, and every setting that it may have."""

from __future__ import annotations

import argparse
import sys
from textwrap import wrap

import msgspec

from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.keys import Table
from cardan.runtime.manifest import find_manifest
from cardan.runtime.node_type import NodeType, node_type

WIDTH = 100


def run(arguments: argparse.Namespace) -> int:
    """Print it; NodeError, exit code 2, when nothing is called so."""
    folder = find_manifest(arguments.beside).resolve().parent
    found = node_type(arguments.use, [str(folder)] if ":" in arguments.use else [])
    if arguments.json:
        print(msgspec.json.encode({"schema_version": 1, **msgspec.structs.asdict(found)}).decode())
    else:
        write_lines(type_lines(found), sys.stdout)
    return int(Exit.HEALTHY)


def type_lines(found: NodeType) -> list[Line]:
    """What it is, its ports, then a block for each table of its settings."""
    lines = [Line(f"{found.use}  {found.path}" if found.use != found.path else found.path, "title")]
    lines += [Line(safe_text(row)) for paragraph in found.about.splitlines() for row in wrap(paragraph, WIDTH)]
    lines += [Line(_stepped(found), "faint")]
    inputs = [(item.name, item.type, item.takes + (", optional" if item.optional else "")) for item in found.inputs]
    outputs = [(item.name, item.type, "kept for late readers" if item.latched else "") for item in found.outputs]
    lines += _titled("reads", inputs) + _titled("says", outputs)
    lines += _titled("measures", [(name, unit or "-", "") for name, unit in found.metrics.items()])
    for item in found.settings:
        lines += table_lines(item)
    return lines


def _stepped(found: NodeType) -> str:
    if found.stepped_by is not None:
        what = "any input" if found.stepped_by == "*" else f"its input {found.stepped_by}"
        return f"stepped by {what}" + (f", at least {found.rate_hz:g} times a second" if found.rate_hz else "")
    return (
        f"{found.rate_hz:g} steps a second, unless the manifest says otherwise"
        if found.rate_hz
        else "rate_hz is needed"
    )


def _titled(title: str, rows: list[tuple[str, str, str]]) -> list[Line]:
    if not rows:
        return []
    first, *texts = table((title, "", ""), rows, "<<<")
    return [Line(""), Line(first, "title"), *(Line(f"  {text}") for text in texts)]


def table_lines(item: Table) -> list[Line]:
    """One table of settings: each key with its default, its type, and what it means."""
    if not item.keys:
        return [Line(""), Line(f"{item.title} has no keys", "faint")]
    lines = [Line(""), Line(f"{item.title}", "title")]
    for key in item.keys:
        given = "needed" if key.default is None else f"default: {key.default}" if key.default else "may be left out"
        lines.append(Line(safe_text(f"  {key.name}  ({key.type}; {given})")))
        lines += [Line(safe_text(f"      {row}"), "faint") for row in wrap(key.meaning, WIDTH - 6)]
    return lines
