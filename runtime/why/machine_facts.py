"""What the samples of the computer and of the nodes say about one moment."""

from __future__ import annotations

from typing import Any

from cardan.runtime.clock import ns
from cardan.runtime.log.record import LogRecord
from cardan.runtime.why.evidence import Evidence

SAMPLE_NS = ns(15.0)
"""A sample that is older says nothing about a moment."""
NO_SAMPLES = 'how the computer fared: this vehicle has no node that samples it (`use = "machine"`)'


def sample_before(evidence: Evidence, moment_ns: int) -> LogRecord | None:
    """The newest sample of the computer that is not older than 15 s; else the first one that came within 15 s after."""
    return _nearest(evidence, "machine-sample", moment_ns)


def nodes_before(evidence: Evidence, moment_ns: int) -> dict[str, dict[str, Any]]:
    """Node -> what grew in the ten seconds in which the moment lies."""
    samples = [record for record in evidence.of_codes("nodes-sample") if record.wall_ns >= moment_ns]
    first = next((record for record in samples if record.wall_ns - moment_ns <= SAMPLE_NS), None)
    nodes = first.fields.get("nodes") if first is not None else None
    return (
        {str(name): item for name, item in nodes.items() if isinstance(item, dict)} if isinstance(nodes, dict) else {}
    )


def _nearest(evidence: Evidence, code: str, moment_ns: int) -> LogRecord | None:
    samples = [record for record in evidence.of_codes(code) if abs(record.wall_ns - moment_ns) <= SAMPLE_NS]
    return min(samples, key=lambda record: abs(record.wall_ns - moment_ns), default=None)


def number(fields: dict[str, Any], name: str) -> float | None:
    """A number of a sample; None when there is none."""
    value = fields.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def machine_facts(evidence: Evidence, moment_ns: int) -> tuple[list[str], list[str]]:
    """Facts about the computer at a moment, and what is missing."""
    sample = sample_before(evidence, moment_ns)
    if sample is None:
        has_samples = bool(evidence.of_codes("machine-sample"))
        return [], ["how the computer fared at that time: no sample within 15 s" if has_samples else NO_SAMPLES]
    off_s = (sample.wall_ns - moment_ns) / 1e9
    return [f"the computer {abs(off_s):.0f} s {'before' if off_s < 0 else 'after'} it: {sample.text}"], []
