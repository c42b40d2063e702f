"""Write docs/manifest.md, docs/nodes.md and docs/profile_keys.md from the code that reads what they describe.

python docs/make_reference.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from cardan.runtime.keys import Table, tables_of
from cardan.runtime.manifest import Header
from cardan.runtime.node_type import NodeType, node_type
from cardan.runtime.profile import Profile
from cardan.runtime.registry import node_names

MANIFEST = """\
# The manifest

A manifest, `vehicle.toml`, says what runs in a vehicle: nodes and how they are wired, networks, the envelope of the
actuators, what follows from the loss of a node. `cardan check` reads it without starting anything and names file, line
and remedy of each mistake. The smallest one of your own is [examples/own_node](../examples/own_node/README.md); the one
of the reference vehicle is [runtime/reference/vehicle.toml](../runtime/reference/vehicle.toml).

    schema = 1                  # version of the keys below
    name = "shuttle"
    profile = "jetson_orin_nx"  # what the computer is: docs/profile_keys.md

    [nodes.lidar]
    use = "drivers.lidar:Lidar" # a class of yours, in the folder drivers/ beside the manifest
    rate_hz = 10.0

    [nodes.recorder]
    use = "recorder"            # one of ours: docs/nodes.md
    inputs = { everything = ["*"] }
    config = { jpeg_quality = 90 }

This page is made from the code (`python docs/make_reference.py`).
"""
NODES = """\
# Nodes that are there

What `use` of a manifest may name without writing a line of code. `cardan node types` lists them, with those of other
packages that are installed (entry points of the group `cardan.nodes`), and `cardan node type NAME` shows one; it does
so for classes of your own too: `cardan node type drivers.lidar:Lidar`.

This page is made from the code (`python docs/make_reference.py`).
"""
PROFILE = """\
# Keys of a hardware profile

What a profile is, and how to have one written for a computer, is said in [Hardware profiles](profiles.md).
`schema = 1` stands first.

This page is made from the code (`python docs/make_reference.py`).
"""


def manifest_page() -> str:
    """Every table of a manifest."""
    return "\n".join([MANIFEST, *map(_table, tables_of(Header))])


def profile_page() -> str:
    """Every table of a profile."""
    return "\n".join([PROFILE, *map(_table, tables_of(Profile))])


def nodes_page() -> str:
    """Every node class that is installed with cardan."""
    ours = [use for use, path in sorted(node_names().items()) if path.startswith("cardan.")]
    return "\n".join([NODES, *(_node(node_type(use, [])) for use in ours)])


def _node(found: NodeType) -> str:
    lines = [f"## {found.use}", "", found.about.replace("\n", "\n\n"), ""]
    ports = [
        *((f"reads `{item.name}`", item.type, item.takes + (", optional" * item.optional)) for item in found.inputs),
        *((f"says `{item.name}`", item.type, "kept for late readers" * item.latched) for item in found.outputs),
        *((f"measures `{name}`", unit, "") for name, unit in found.metrics.items()),
    ]
    lines += _rows(("port", "type or unit", ""), ports)
    return "\n".join([*lines, *(_table(item, level=3) for item in found.settings if item.keys)])


def _table(item: Table, level: int = 2) -> str:
    rows = [(f"`{key.name}`", key.type, _default(key.default), key.meaning) for key in item.keys]
    title = f"`{item.title}`" if item.title else "At the top"
    about = [] if level == 3 and item.title == "[config]" else [item.about, ""]
    return "\n".join([f"{'#' * level} {title}", "", *about, *_rows(("key", "value", "default", "meaning"), rows)])


def _default(default: str | None) -> str:
    return "needed" if default is None else f"`{default}`" if default else ""


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    found = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *found, ""] if found else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"manifest.md": manifest_page, "nodes.md": nodes_page, "profile_keys.md": profile_page}


def main() -> None:
    """Write them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, page in PAGES.items():
        (folder / name).write_text(page())


if __name__ == "__main__":
    main()
