"""The summary of a run laid out for a person, verdict first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cardan.runtime.cli import units
from cardan.runtime.cli.lines import Line, safe_text, table
from cardan.runtime.cli.summary import OK, Jitter, NodeSummary, Summary

NODE_HEAD = ("node", "starts", "steps", "overruns", "missed", "jitter p50", "p99", "max")
LABEL = 16


def report(summary: Summary, title: str) -> list[Line]:
    """The whole summary. title: `vehicle on profile`."""
    return [
        _verdict(summary, title),
        Line(""),
        *(Line(text) for text in _facts(summary)),
        Line(""),
        *_nodes(summary),
        *([Line("")] if summary.recording or summary.synced else []),
        *(Line(text) for text in _kept(summary)),
    ]


def _verdict(summary: Summary, title: str) -> Line:
    armed = f", armed after {summary.armed_after_s:.2f} s" if summary.armed_after_s is not None else ""
    ran = f"{title}: {units.duration(summary.duration_s)}{armed}"
    if summary.verdict == OK:
        return Line(f"ok  {safe_text(ran)}", "good")
    return Line(f"not ok: {safe_text(summary.verdict)}\n        {safe_text(ran)}", "bad")


def _facts(summary: Summary) -> list[str]:
    facts = [
        _row("photon to CAN", _jitter(summary.photon_to_can_ms)) if summary.photon_to_can_ms else "",
        _lane(summary),
        _row("messages", f"{units.count(summary.published)} published, {units.count(summary.lost)} lost"),
        _row("safe stops", units.count(summary.safe_stops)) if summary.safe_stops is not None else "",
        _counted("CAN frames", summary.frames_carried, "carried"),
        _counted("checksums", summary.checksum_failures, "failed"),
    ]
    return [fact for fact in facts if fact]


def _counted(label: str, number: int | None, what: str) -> str:
    return "" if number is None else _row(label, f"{units.count(number)} {what}")


def _row(label: str, text: str) -> str:
    return f"{label:<{LABEL}}{text}"


def _jitter(jitter: Jitter) -> str:
    return f"p50 {units.ms(jitter.p50)}, p99 {units.ms(jitter.p99)}, max {units.ms(jitter.max)}"


def _lane(summary: Summary) -> str:
    error = summary.lane_error_m
    return _row("lane error", f"p95 {units.metres(error.p95)}, max {units.metres(error.max)}") if error else ""


def _nodes(summary: Summary) -> list[Line]:
    head, *rows = table(NODE_HEAD, [_node(name, node) for name, node in summary.nodes.items()], "<>>>>>>>")
    return [Line(head, "title"), *(Line(row) for row in rows)]


def _node(name: str, node: NodeSummary) -> tuple[str, ...]:
    jitter = node.jitter_ms
    late = (jitter.p50, jitter.p99, jitter.max) if jitter else (None, None, None)
    counts = (node.starts, node.steps, node.overruns, node.missed)
    return (safe_text(name), *(units.count(number) for number in counts), *(units.ms(value) for value in late))


def _kept(summary: Summary) -> list[str]:
    kept = []
    if summary.recording:
        path = Path(summary.recording)
        kept.append(_row("recording", f"{path}  ({units.size(path.stat().st_size if path.exists() else None)})"))
    if summary.synced:
        kept.append(_row("synced", _synced(summary.synced)))
    return kept


def _synced(synced: Mapping[str, Any]) -> str:
    """The account of the outbox in one line: what has gone where, what waits, and why."""
    count = {name: units.count(synced.get(name, 0)) for name in ("delivered", "produced", "pending", "evicted")}
    text = f"{count['delivered']} of {count['produced']} records, {count['pending']} pending"
    text += f", {count['evicted']} given up" if synced.get("evicted") else ""
    text += f"  ({synced['store']})" if synced.get("store") else ""
    if synced.get("problem"):
        return safe_text(f"{text}: {synced['problem']}")
    return safe_text(text if synced.get("consent") else f"{text}; upload is off until it is consented to")
