"""One record of the event log: a JSON line with a code; and how any line of a log file is read as one.

The supervisor writes `supervisor.log`, each node its own `NODE.log`, both in `<data>/logs/<run id>/`. What a process
prints (tracebacks, messages of libraries) stands between the records of its file and is read as the code `output`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

LEVELS = ("debug", "info", "warning", "error")
SUPERVISOR = "supervisor"
"""Name of the supervisor's file, and in a filter, of the records that concern no single node."""
SUFFIX = ".log"
OLDER = ".1"
"""Added to the name of the file before the present one."""
NOTE = "note"
"""Code of a remark that a node logs without a code of its own."""
OUTPUT = "output"
"""Code of a line that was printed, not logged."""
LONGEST_TEXT = 4000
_OWN = ("t_ns", "wall_s", "level", "code", "node", "text")
_LARGEST_NS = 1 << 62


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one run."""

    t_ns: int
    """Monotonic time."""
    wall_s: float
    """Wall time, a label."""
    level: str
    code: str
    """See cardan.runtime.faults."""
    node: str
    """Whom it concerns; empty: the whole run."""
    text: str
    fields: dict[str, Any]
    """What else the code has, such as `silent_ms`."""

    @property
    def wall_ns(self) -> int:
        return round(self.wall_s * 1e9)

    @property
    def is_trouble(self) -> bool:
        return self.level in ("warning", "error")


def encode(record: LogRecord) -> bytes:
    """The line of a record."""
    line = {name: getattr(record, name) for name in _OWN} | record.fields
    return json.dumps(line, default=str).encode("utf-8", "replace") + b"\n"


def records_in(lines: Iterable[bytes], node: str) -> Iterator[LogRecord]:
    """The records of one file, oldest first. node: whose file it is; empty for the supervisor's.

    A line that is no record is what the process printed; it has the time of the record before it.
    """
    t_ns, wall_s = 0, 0.0
    for line in lines:
        if not line.strip():
            continue
        record = _record_or_none(line, node)
        if record is None:
            text = line.decode("utf-8", "replace").rstrip()[:LONGEST_TEXT]
            record = LogRecord(t_ns=t_ns, wall_s=wall_s, level="info", code=OUTPUT, node=node, text=text, fields={})
        t_ns, wall_s = record.t_ns, record.wall_s
        yield record


def _record_or_none(line: bytes, node: str) -> LogRecord | None:
    if not line.startswith(b"{"):
        return None
    try:
        found = msgspec.json.decode(line)
        t_ns, wall_s = int(found["t_ns"]), float(found["wall_s"])
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    if not (0 <= t_ns < _LARGEST_NS and math.isfinite(wall_s) and abs(wall_s) < _LARGEST_NS / 1e9):
        return None
    level = str(found.get("level", "info"))
    return LogRecord(
        t_ns=t_ns,
        wall_s=wall_s,
        level=level if level in LEVELS else "error" if level == "critical" else "info",
        code=str(found.get("code") or NOTE)[:64],
        node=str(found.get("node", node))[:64],
        text=str(found.get("text", ""))[:LONGEST_TEXT],
        fields={key: value for key, value in found.items() if key not in _OWN},
    )
