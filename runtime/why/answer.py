"""An answer: what is known, where each fact comes from, and what was not recorded. Never a guess."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli.control_causes import meaning
from cardan.runtime.faults import find_fault
from cardan.runtime.log.record import SUPERVISOR, LogRecord


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was recorded."""

    wall_ns: int
    after_s: float
    """Since the moment that is asked for; negative before it."""
    who: str
    """A node, or `supervisor`."""
    code: str
    text: str
    level: str = "info"


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """What was said on the bus of the vehicle at one moment; None where it was not recorded."""

    after_s: float
    engagement: str | None = None
    reason: str | None = None
    speed_mps: float | None = None
    steering_rad: float | None = None
    accel_mps2: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What `cardan why` says."""

    schema_version: int = 1
    question: str
    verdict: str
    """One line."""
    healthy: bool
    """Nothing has gone wrong."""
    moment_ns: int | None = None
    """Wall time of what is explained."""
    cause: Fact | None = None
    """The first one that was recorded; None when none was, or when nothing happened."""
    means: str = ""
    hint: str = ""
    chain: list[Fact] = []
    """From the first cause to what came of it."""
    facts: list[str] = []
    """What else was measured and belongs to it."""
    missing: list[str] = []
    """What would be needed to know more, and was not recorded."""
    around: list[Fact] = []
    """Everything in the log within five seconds."""
    signals: list[Signals] = []


def fact_of(record: LogRecord, moment_ns: int) -> Fact:
    """A record of the log. moment_ns: wall time that it is told from."""
    return Fact(
        wall_ns=record.wall_ns,
        after_s=round((record.wall_ns - moment_ns) / 1e9, 3),
        who=record.node or SUPERVISOR,
        code=record.code,
        text=record.text,
        level=record.level,
    )


def explain(code: str, cause: str = "") -> tuple[str, str]:
    """Meaning and cure: of a code of the table of faults, else of a cause of the bridge; empty where neither knows."""
    fault = find_fault(code)
    return (fault.meaning, fault.cure) if fault is not None else meaning(cause or code)


def last_line(text: str) -> str:
    """Of a traceback that is what happened; of an error of ours the line before the one with its hint."""
    lines = text.strip().splitlines() or [""]
    ends_with_hint = len(lines) > 1 and lines[-1].lstrip().startswith("hint: ")
    return lines[-2] if ends_with_hint else lines[-1]
