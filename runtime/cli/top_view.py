"""The picture of `cardan top`: verdict, buses, engines, links, nodes and topics, in as many rows as there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cardan.runtime.cli import units
from cardan.runtime.cli.lines import Line, cut, safe_text
from cardan.runtime.cli.snapshot import MICRO, NodeShot, SeriesShot, Snapshot
from cardan.runtime.cli.top_heard import Channel, Heard
from cardan.runtime.cli.view import (
    NODE_HEAD,
    TOPIC_HEAD,
    TROUBLED,
    Scene,
    fit,
    headline,
    latency_row,
    mode_row,
    node_line,
    per_second,
    repeat,
    since_s,
    topic_lines,
)
from cardan.runtime.vitals import NodeState, SeriesKind

SILENT_S = 3.0
"""A reader speaks of its channels once a second; after so long what it said last is old."""
GONE_WRONG = ("late", "dropped", "invalid")
"""Metrics of an engine that count runs without a good result."""
ROWS_OF_PARTS = 3
"""Of buses, of engines and of links, each, before the rest is only counted."""


def render_top(
    scene: Scene, heard: Heard, synced: Mapping[str, Any] | None, columns: int = 80, rows: int = 24
) -> list[Line]:
    """At most `rows` lines of at most `columns` characters; nodes go before topics, and troubled nodes before others.

    synced: the account of the outbox; None where there is none.
    """
    parts = [
        *_some(_bus_lines(scene, heard.channels), "buses"),
        *_some(_engine_lines(scene), "engines"),
        *_some(_link_lines(heard, synced), "links"),
    ]
    head, nodes, topics = _head(scene, heard, columns), _node_lines(scene), topic_lines(scene, columns)
    free = rows - len(head) - len(parts) - 3
    for_topics = min(len(topics), max(1, free - len(nodes)))
    lines = [
        *head,
        *parts,
        Line(NODE_HEAD, "title"),
        *fit(nodes, max(1, free - for_topics), "nodes"),
        Line(repeat(TOPIC_HEAD, columns), "title"),
        *fit(topics, for_topics, "lines of topics"),
    ]
    return [Line(cut(line.text, columns), line.role) for line in [*lines[: rows - 1], Line(scene.note, "faint")]]


def _head(scene: Scene, heard: Heard, columns: int) -> list[Line]:
    now = scene.now
    verdict, role = headline(now)
    ran = units.duration((now.taken_ns - now.started_ns) / 1e9)
    title = cut(f"{scene.plan.name} on {scene.plan.profile.name}  {heard.engagement}", columns - len(ran) - 2)
    mode = [Line(mode_row(now), "bad")] if now.mode else []
    first = Line(f"{title:<{columns - len(ran) - 2}}  {ran}", "title")
    return [first, Line(verdict, role), *mode, Line(latency_row(scene))]


def _some(lines: list[Line], what: str) -> list[Line]:
    """Bad ones first, and only so many."""
    ordered = sorted(lines, key=lambda line: line.role != "bad")
    if len(ordered) <= ROWS_OF_PARTS:
        return ordered
    kept = ROWS_OF_PARTS - 1
    return [*ordered[:kept], Line(f"… {len(ordered) - kept} more {what}", "faint")]


def _bus_lines(scene: Scene, channels: list[Channel]) -> list[Line]:
    return [_bus_line(channel, scene.now) for channel in channels]


def _bus_line(channel: Channel, now: Snapshot) -> Line:
    health, age_s = channel.health, since_s(now.taken_ns, channel.sent_ns) or 0.0
    link = health.link
    trouble = health.trouble or (f"its reader is silent for {units.age(age_s)}" if age_s > SILENT_S else "")
    state = f"  {link.bus_state}" if link is not None and link.bus_state else ""
    counts = (
        f"{units.count(health.received)} frames  {units.count(health.receive_dropped)} dropped"
        f"  {units.count(health.error_frames)} errors"
    )
    return Line(
        f"BUS     {cut(health.channel, 13):<14}{trouble or 'ok'}{state}  {counts}", "bad" if trouble else "plain"
    )


def _engine_lines(scene: Scene) -> list[Line]:
    old = {node.plan.name: _metrics(node) for node in scene.before.nodes}
    lines = []
    for node in scene.now.nodes:
        metrics = _metrics(node)
        for name in metrics:
            engine, _, last = name.rpartition(".")
            if last == "run" and f"{engine}.released" in metrics:
                lines.append(_engine_line(engine, metrics, old.get(node.plan.name, metrics), scene))
    return lines


def _metrics(node: NodeShot) -> dict[str, SeriesShot]:
    return {series.plan.name: series for series in node.of_kind(SeriesKind.METRIC)}


def _engine_line(engine: str, now: dict[str, SeriesShot], before: dict[str, SeriesShot], scene: Scene) -> Line:
    run, old = now[f"{engine}.run"], before[f"{engine}.run"]
    rate = per_second(run.count, old.count, scene.now.taken_ns - scene.before.taken_ns)
    newest = run.spread.since(old.spread)
    spread = newest if newest.total else run.spread
    p50, p99 = (units.ms(spread.at(part) * MICRO * 1e3 if spread.total else None) for part in (0.5, 0.99))
    wrong = [name for name in GONE_WRONG if f"{engine}.{name}" in now]
    counts = {name: round(now[f"{engine}.{name}"].sum * MICRO) for name in wrong}
    said = "  ".join(f"{units.count(number)} {name}" for name, number in counts.items() if number)
    grows = any(now[f"{engine}.{name}"].sum > before[f"{engine}.{name}"].sum for name in wrong)
    text = f"ENGINE  {cut(engine, 13):<14}{units.rate(rate):>9}  run {p50}, p99 {p99}  {said or 'none late'}"
    return Line(text, "bad" if not rate else "warning" if grows else "plain")


def _link_lines(heard: Heard, synced: Mapping[str, Any] | None) -> list[Line]:
    links = [
        Line(f"LINK    {cut(name, 13):<14}{link.text}", "plain" if link.up else "bad")
        for name, link in heard.links.items()
    ]
    if synced is None:
        return links
    problem = synced.get("problem")
    counts = f"{units.count(synced['delivered'])} delivered  {units.count(synced['pending'])} pending"
    consent = "" if synced.get("consent") else "  no consent: nothing leaves"
    said = f"  {safe_text(str(problem))}" if problem else consent
    return [*links, Line(f"LINK    {'outbox':<14}{counts}{said}", "bad" if problem else "plain")]


def _node_lines(scene: Scene) -> list[Line]:
    nodes = sorted(scene.now.nodes, key=lambda node: not _is_troubled(node))
    return [node_line(node, scene) for node in nodes]


def _is_troubled(node: NodeShot) -> bool:
    return node.state in (*TROUBLED, NodeState.LATE) or node.condition is not None
