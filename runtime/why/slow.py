"""Is, or was, the computer hot, throttled, short of memory, or starved: from its samples over the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from cardan.runtime.cli.moments import clock_text
from cardan.runtime.log.record import LogRecord
from cardan.runtime.why.answer import Answer, explain, fact_of
from cardan.runtime.why.evidence import Evidence
from cardan.runtime.why.machine_facts import NO_SAMPLES, SAMPLE_NS, number

QUESTION = "slow"
MACHINE = "machine-"
BUSY = 60.0
"""Percent of time in which tasks wait for a processor, over a whole minute: the computer is at its limit."""


class Quantity(NamedTuple):
    """One number of the samples, and which end of it is the worst."""

    name: str
    text: str
    worst: Callable[[Iterable[tuple[float, LogRecord]]], tuple[float, LogRecord]]
    scale: float = 1.0


def _first(pair: tuple[float, LogRecord]) -> float:
    return pair[0]


def _most(pairs: Iterable[tuple[float, LogRecord]]) -> tuple[float, LogRecord]:
    return max(pairs, key=_first)


def _least(pairs: Iterable[tuple[float, LogRecord]]) -> tuple[float, LogRecord]:
    return min(pairs, key=_first)


QUANTITIES = (
    Quantity("temp_c", "temperature at most {0:.0f} C", _most),
    Quantity("clock_share", "clock of the slowest processor at least {0:.0f} % of its highest", _least, 100.0),
    Quantity("memory_available_mib", "memory left at least {0:.0f} MiB", _least),
    Quantity("cpu_pressure", "tasks waited for a processor in at most {0:.0f} % of 10 s", _most),
    Quantity("memory_pressure", "tasks waited for memory in at most {0:.0f} % of 10 s", _most),
    Quantity("io_pressure", "tasks waited for a disk in at most {0:.0f} % of 10 s", _most),
    Quantity("disk_free_mib", "disk free at least {0:.0f} MiB", _least),
)


def answer(evidence: Evidence) -> Answer:
    """Over the whole run; with --at within 15 s of that time."""
    samples, troubles = _records(evidence, "machine-sample"), _troubles(evidence)
    kills = [node for node in evidence.shot.nodes if node.group.memory_kills]
    if not samples and not troubles and not kills:
        return Answer(question=QUESTION, verdict=f"not recorded: {NO_SAMPLES}", healthy=False, missing=[NO_SAMPLES])
    facts = [*_extremes(samples), *_counted(samples), *_memory_of_nodes(evidence)]
    missing = _untold(samples)
    if troubles:
        first = troubles[0]
        said, hint = explain(first.code)
        return Answer(
            question=QUESTION,
            verdict=f"{first.code} at {clock_text(first.wall_ns)} UTC: {first.text}",
            healthy=False,
            moment_ns=first.wall_ns,
            cause=fact_of(first, first.wall_ns),
            means=said,
            hint=hint,
            chain=[fact_of(record, first.wall_ns) for record in troubles],
            facts=facts,
            missing=missing,
            around=evidence.around(first.wall_ns),
        )
    busy = _busy(samples)
    ok = "neither hot nor throttled nor short of memory, as far as it was sampled"
    return Answer(question=QUESTION, verdict=busy or ok, healthy=not busy, facts=facts, missing=missing)


def _records(evidence: Evidence, *codes: str) -> list[LogRecord]:
    found = evidence.of_codes(*codes)
    at_ns = evidence.at_ns
    return found if at_ns is None else [record for record in found if abs(record.wall_ns - at_ns) <= SAMPLE_NS]


def _troubles(evidence: Evidence) -> list[LogRecord]:
    found = [record for record in evidence.records if record.is_trouble]
    wanted = [r for r in found if r.code.startswith(MACHINE) or r.code == "node-out-of-memory"]
    at_ns = evidence.at_ns
    return wanted if at_ns is None else [record for record in wanted if abs(record.wall_ns - at_ns) <= SAMPLE_NS]


def _values(samples: list[LogRecord], name: str) -> list[tuple[float, LogRecord]]:
    return [(value, record) for record in samples if (value := number(record.fields, name)) is not None]


def _extremes(samples: list[LogRecord]) -> list[str]:
    facts = []
    for quantity in QUANTITIES:
        values = _values(samples, quantity.name)
        if values:
            value, record = quantity.worst(values)
            facts.append(f"{quantity.text.format(value * quantity.scale)}, at {clock_text(record.wall_ns)}")
    return facts


def _counted(samples: list[LogRecord]) -> list[str]:
    """What only counts up: how much it grew while it was watched."""
    said = {
        "throttled": "the processor was slowed down for heat",
        "memory_kills": "the kernel ended processes for memory",
    }
    facts = []
    for name, text in said.items():
        values = _values(samples, name)
        if values:
            facts.append(f"{text}: {values[-1][0] - values[0][0]:.0f} times in this run")
    return facts


def _memory_of_nodes(evidence: Evidence) -> list[str]:
    peaks = {
        node.plan.name: node.group.memory_peak_kib / 1024 for node in evidence.shot.nodes if node.group.memory_peak_kib
    }
    first = sorted(peaks, key=lambda name: -peaks[name])[:3]
    return ["most memory: " + ", ".join(f"{name} {peaks[name]:.0f} MiB" for name in first)] if first else []


def _busy(samples: list[LogRecord]) -> str:
    """A minute of samples in a row in which tasks waited for a processor most of the time."""
    values = [value for value, _ in _values(samples, "cpu_pressure")]
    if len(values) < 6 or any(value < BUSY for value in values[-6:]):
        return ""
    return f"neither hot nor short of memory; but tasks wait for a processor in {min(values[-6:]):.0f} % of the time"


def _untold(samples: list[LogRecord]) -> list[str]:
    """What this computer does not tell."""
    names: dict[str, Any] = {"temp_c": "temperature", "throttled": "throttling", "memory_available_mib": "memory"}
    absent = [text for name, text in names.items() if samples and not _values(samples, name)]
    return [f"{', '.join(absent)}: this computer does not tell"] if absent else []
