"""Messages that were kept of a span of time: from the rings where they reach back so far, else from the recording."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from cardan.runtime.cli.tap import ALL, last_messages
from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import CardanError
from cardan.runtime.why.evidence import Evidence


class Kept(NamedTuple):
    """One message; its content as msgpack, or as JSON in a recording."""

    wall_ns: int
    data: bytes
    is_json: bool
    valid: bool = True
    """As its sender called it; of a recorded one the content says so."""


def kept_between(evidence: Evidence, topics: Sequence[str], begin_ns: int, end_ns: int) -> dict[str, list[Kept]]:
    """Topic -> its messages of a span of wall time, in order; a topic of which nothing was kept is left out."""
    rings = _from_rings(evidence, topics, end_ns)
    whole = {topic: rows for topic, rows in rings.items() if rows[0].wall_ns <= begin_ns}
    rest = [topic for topic in topics if topic not in whole]
    found = rings | (_from_recording(evidence, rest, begin_ns, end_ns) if rest else {}) | whole
    cut = {topic: [item for item in rows if item.wall_ns >= begin_ns] for topic, rows in found.items()}
    return {topic: rows for topic, rows in cut.items() if rows}


def _from_rings(evidence: Evidence, topics: Sequence[str], end_ns: int) -> dict[str, list[Kept]]:
    """Everything up to a moment that the rings hold; topics of which they hold nothing are left out."""
    rows: dict[str, list[Kept]] = {}
    for topic in topics:
        with suppress(CardanError, OSError):
            heard = last_messages(evidence.found, topic, ALL, FakeClock())
            kept = [
                Kept(evidence.wall_of(item.header.sent_ns), item.payload, False, item.header.valid) for item in heard
            ]
            rows[topic] = [item for item in kept if item.wall_ns <= end_ns]
    return {topic: kept for topic, kept in rows.items() if kept}


def _from_recording(evidence: Evidence, topics: Sequence[str], begin_ns: int, end_ns: int) -> dict[str, list[Kept]]:
    if not evidence.found.run_id:
        return {}
    from cardan.runtime.record.files import recording_paths
    from cardan.runtime.record.window import messages_between

    rows: dict[str, list[Kept]] = {}
    for path in recording_paths(evidence.found.data_dir, evidence.found.run_id):
        with suppress(OSError, CardanError, ImportError):
            for message in messages_between(path, begin_ns, end_ns, topics):
                rows.setdefault(message.topic, []).append(Kept(message.log_ns, message.data, True))
    return {topic: sorted(found, key=lambda item: item.wall_ns) for topic, found in rows.items()}
