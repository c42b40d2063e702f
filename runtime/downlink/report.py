"""A report on the run for somebody far away, as text in pieces: how it is, what is kept, and the ends of the logs.

No topic is in it: what the vehicle saw goes through the outbox and its policy, not through here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.live.texts import run_of
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.ledger import read_ledgers
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeVitals, Vitals

PIECE_BYTES = 32 << 10
MOST_OF_A_LOG_BYTES = 96 << 10
MOST_LOGS = 40


def report_parts(plan: Plan, vitals: Vitals, data_dir: Path, logs: Path) -> Iterator[dict[str, Any]]:
    """The pieces, in order: `name`, `piece`, `text`; bounded in size and number."""
    yield from _pieces("state.json", msgspec.json.encode(_state(plan, vitals, data_dir)))
    for path in sorted(logs.glob("*.log"))[:MOST_LOGS]:
        text = _end_of(path)
        if text:
            yield from _pieces(path.name, text)


def _state(plan: Plan, vitals: Vitals, data_dir: Path) -> dict[str, Any]:
    nodes = {}
    for name, node in vitals.nodes.items():
        fault = node.fault
        nodes[name] = {
            "state": node.state.name.lower(),
            "starts": node.words[NodeVitals.STARTS],
            "crashes": node.words[NodeVitals.CRASHES],
            "hangs": node.words[NodeVitals.HANGS],
            "fault": list(fault) if fault is not None else None,
        }
    ledgers = read_ledgers(outbox_dir(data_dir))
    return {
        "run": {**run_of(vitals), "cause": vitals.cause},
        "manifest_sha256": plan.manifest_sha256,
        "profile": plan.profile.name,
        "nodes": nodes,
        "outbox": {kind.name.lower(): msgspec.structs.asdict(ledger) for kind, ledger in ledgers.items()},
    }


def _end_of(path: Path) -> bytes:
    """The last lines of a log; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_OF_A_LOG_BYTES))
            text = file.read(MOST_OF_A_LOG_BYTES)
    except OSError:
        return b""
    return text if size <= MOST_OF_A_LOG_BYTES else text.partition(b"\n")[2]


def _pieces(name: str, text: bytes) -> Iterator[dict[str, Any]]:
    for piece, start in enumerate(range(0, len(text), PIECE_BYTES)):
        yield {"name": name, "piece": piece, "text": text[start : start + PIECE_BYTES].decode("utf-8", "replace")}
