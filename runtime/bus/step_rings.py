"""The rings in which nodes note their steps (node.step_notes): where they lie. The supervisor makes them: no numpy."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.bus.ring_file import create_ring
from cardan.runtime.plan import Plan

PORT = "_step"
"""The notes of a node are recorded as the topic `NODE/_step`."""

RING_BYTES = 1 << 18
"""More than a second of notes, also at 1 kHz."""


def step_topic(node: str) -> str:
    """The topic under which the notes of a node are recorded."""
    return f"{node}/{PORT}"


def notes_path(bus_dir: Path, node: str) -> Path:
    """The file of a node's ring of notes."""
    return bus_dir / f"{node}.{PORT}.ring"


def create_note_rings(plan: Plan, bus_dir: Path) -> None:
    """Make the rings of all nodes that note their steps; the supervisor does this once, before the first node."""
    for node in plan.nodes:
        if node.notes_steps:
            create_ring(notes_path(bus_dir, node.name), step_topic(node.name), RING_BYTES)
