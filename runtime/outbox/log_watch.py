"""Faults and engagement changes as critical records: read from the event log of the run, which every node writes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from cardan.runtime.log.read import Follower
from cardan.runtime.log.record import LogRecord

EVENT_CODES = ("engagement", "run-mode", "run-mode-normal", "run-verdict")
"""Events that are no trouble and critical all the same."""
MOST_A_SECOND = 50
"""A node that babbles costs so many records; the others are counted."""
NS_PER_S = 1_000_000_000


class LogWatch:
    """What has been added to the log of a run and belongs to the cloud."""

    def __init__(self, folder: Path) -> None:
        self._follower = Follower(folder)
        self._second = self._count = 0
        self._dropped = 0

    def take(self, now_ns: int) -> Iterator[tuple[int, int, str, bytes]]:
        """Monotonic and wall time, topic and payload of each; oldest first."""
        if now_ns // NS_PER_S != self._second:
            self._second, self._count = now_ns // NS_PER_S, 0
        for record in self._follower.take():
            if not (record.is_trouble or record.code in EVENT_CODES):
                continue
            self._count += 1
            if self._count > MOST_A_SECOND:
                self._dropped += 1
                continue
            yield record.t_ns, record.wall_ns, f"log/{record.code}", payload_of(record)

    def take_dropped(self) -> int:
        """How many were too many since the last call."""
        count, self._dropped = self._dropped, 0
        return count


def payload_of(record: LogRecord) -> bytes:
    """An event as the record that goes to the store."""
    message = {"level": record.level, "node": record.node, "text": record.text, "fields": record.fields}
    return msgspec.json.encode({"topic": f"log/{record.code}", "message": message})
