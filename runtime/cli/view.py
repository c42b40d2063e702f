"""The live view: one screen of a run, worked out from two snapshots; what does not fit is named, not cut silently."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.lines import Line, cut, safe_text
from cardan.runtime.cli.snapshot import NodeShot, SeriesShot, Snapshot
from cardan.runtime.cli.summary import OK, lost, metric_sum, photon_to_can, verdict_of
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeState, RunState

TOPIC_WIDTH = 39
NODE_HEAD = (
    f"{'NODE':<14}{'STATE':<12}{'RATE':>9}{'AGE':>7}{'STEP p99':>10}{'JITTER p99':>12}{'MISSED':>8}{'STARTS':>8}"
)
TOPIC_HEAD = f"{'TOPIC':<19}{'RATE':>10}{'AGE':>8}"
TROUBLED = (NodeState.HUNG, NodeState.BACKING_OFF, NodeState.FAILED)
DONE = (NodeState.FINISHED, NodeState.STOPPING)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one picture shows."""

    plan: Plan
    now: Snapshot
    before: Snapshot
    """About a second older: rates are the difference. The run's start may stand in for it."""
    engagement: str = ""
    armed_after_s: float | None = None
    ends_after_s: float | None = None
    recording: str = ""
    recording_bytes: int | None = None
    note: str = "Ctrl-C ends the run"


def render(scene: Scene, columns: int = 80, rows: int = 24) -> list[Line]:
    """At most `rows` lines of at most `columns` characters."""
    head, foot = _head(scene, columns), _foot(scene, columns)
    nodes = [node_line(node, scene) for node in scene.now.nodes]
    topics = topic_lines(scene, columns)
    free = rows - len(head) - len(foot) - 2
    for_topics = min(len(topics), max(1, free - len(nodes)))
    middle = [
        Line(NODE_HEAD, "title"),
        *fit(nodes, free - for_topics, "nodes"),
        Line(repeat(TOPIC_HEAD, columns), "title"),
        *fit(topics, for_topics, "lines of topics"),
    ]
    return [Line(cut(line.text, columns), line.role) for line in [*head, *middle, *foot][:rows]]


def progress(scene: Scene) -> str:
    """One line for a log: where the run stands."""
    text, _ = headline(scene.now)
    photon = photon_to_can(scene.plan, scene.now)
    parts = [
        units.duration((scene.now.taken_ns - scene.now.started_ns) / 1e9),
        text,
        scene.engagement,
        f"photon to CAN p99 {units.ms(photon.p99)}" if photon else "",
        f"{units.count(lost(scene.now))} lost",
    ]
    return "  ".join(part for part in parts if part)


def headline(shot: Snapshot) -> tuple[str, str]:
    """The verdict at this moment, and its role."""
    verdict = verdict_of(shot)
    if verdict != OK:
        return verdict, "bad"
    if shot.mode:
        return safe_text(f"{shot.mode}: {shot.mode_text}"), "bad"
    troubled = [node for node in shot.nodes if node.state in TROUBLED]
    if troubled:
        return f"{troubled[0].plan.name} is {state_word(troubled[0].state)}", "bad"
    if shot.state == RunState.STARTING:
        ready = sum(node.state in (NodeState.READY, NodeState.RUNNING, NodeState.LATE) for node in shot.nodes)
        return f"starting: {ready} of {units.plural(len(shot.nodes), 'node')} ready", "warning"
    if shot.state in (RunState.STOPPING, RunState.DEGRADED):
        return shot.state.name.lower(), "warning"
    return OK, "good"


def state_word(state: NodeState) -> str:
    """`BACKING_OFF` as people say it."""
    return state.name.lower().replace("_", "-")


def per_second(now: int, before: int, duration_ns: int) -> float | None:
    """How fast a counter grew; None when no time has passed."""
    return max(0, now - before) * 1e9 / duration_ns if duration_ns > 0 else None


def since_s(now_ns: int, stamp_ns: int) -> float | None:
    """Seconds since a stamp; None when it was never set."""
    return (now_ns - stamp_ns) / 1e9 if stamp_ns else None


def _head(scene: Scene, columns: int) -> list[Line]:
    now, plan = scene.now, scene.plan
    text, role = headline(now)
    ran = units.duration((now.taken_ns - now.started_ns) / 1e9)
    limit = f" of {units.duration(scene.ends_after_s)}" if scene.ends_after_s else ""
    title, clock = f"{plan.name} on {plan.profile.name}", f"{ran}{limit}"
    room = columns - len(clock) - 2
    lines = [Line(f"{cut(title, room):<{room}}  {clock}", "title"), Line(text, role)]
    if now.mode and verdict_of(now) != OK:
        lines.append(Line(mode_row(now), "bad"))
    return lines + [Line(row) for row in (_engagement_row(scene), latency_row(scene), _carried_row(now)) if row]


def mode_row(shot: Snapshot) -> str:
    """What the vehicle can still do, since when, and why."""
    held = units.age(since_s(shot.taken_ns, shot.mode_ns))
    return f"mode  {shot.mode} for {held}: {shot.mode_text}"


def _engagement_row(scene: Scene) -> str:
    stops = metric_sum(scene.now, "safe_stops")
    return "   ".join(
        part
        for part in (
            scene.engagement,
            f"armed after {scene.armed_after_s:.2f} s" if scene.armed_after_s is not None else "",
            f"safe stops {stops}" if stops is not None else "",
        )
        if part
    )


def latency_row(scene: Scene) -> str:
    """From photon to CAN, and what was lost."""
    photon = photon_to_can(scene.plan, scene.now)
    inputs = [series for node in scene.now.nodes for series in node.series]
    dropped = sum(series.dropped for series in inputs)
    missing = sum(series.lost for series in inputs)
    losses = f"lost {units.count(missing)}   dropped {units.count(dropped)}"
    if photon is None:
        return losses
    values = f"p50 {units.ms(photon.p50)}   p99 {units.ms(photon.p99)}   max {units.ms(photon.max)}"
    return f"photon to CAN  {values}   {losses}"


def _carried_row(shot: Snapshot) -> str:
    carried, failures = metric_sum(shot, "frames_carried"), metric_sum(shot, "checksum_failures")
    parts = [
        f"{units.count(carried)} frames carried" if carried is not None else "",
        f"{units.plural(failures, 'checksum failure')}" if failures is not None else "",
    ]
    return "   ".join(part for part in parts if part)


def _foot(scene: Scene, columns: int) -> list[Line]:
    lines = [Line(scene.note, "faint")]
    if scene.recording:
        taken = units.size(scene.recording_bytes)
        room = columns - len("recording  ") - len(taken) - 2
        lines.insert(0, Line(f"recording  {_cut_left(scene.recording, room)}  {taken}"))
    return lines


def _cut_left(text: str, width: int) -> str:
    """The end of a path says more than its beginning."""
    return text if len(text) <= width else "…" + text[len(text) - max(0, width - 1) :]


def node_line(node: NodeShot, scene: Scene) -> Line:
    """One node under NODE_HEAD."""
    before = next((old for old in scene.before.nodes if old.plan.name == node.plan.name), node)
    rate = per_second(node.steps, before.steps, scene.now.taken_ns - scene.before.taken_ns)
    stepped = node.step_time.total > 0
    text = (
        f"{cut(node.plan.name, 13):<14}{state_word(node.state):<12}{units.rate(rate):>9}"
        f"{units.age(since_s(scene.now.taken_ns, node.step_end_ns)):>7}"
        f"{units.ms(node.step_time.at(0.99) * 1e-6 if stepped else None):>10}"
        f"{units.ms(node.lateness.at(0.99) * 1e-6 if node.lateness.total else None):>12}"
        f"{units.count(node.missed):>8}{node.starts:>8}"
    )
    return Line(text, _node_role(node))


def _node_role(node: NodeShot) -> str:
    if node.state in TROUBLED or node.fault:
        return "bad"
    if node.state == NodeState.LATE:
        return "warning"
    if node.state == NodeState.RUNNING:
        return "plain" if not node.restarts else "warning"
    return "faint"


def topic_lines(scene: Scene, columns: int) -> list[Line]:
    """Every topic under TOPIC_HEAD, as many beside each other as there is room for."""
    old = {series.plan.topic: series for _, series in scene.before.outputs()}
    span_ns = scene.now.taken_ns - scene.before.taken_ns
    cells = [_topic_cell(s, old.get(s.plan.topic, s), span_ns, scene.now) for _, s in scene.now.outputs()]
    across = max(1, (columns + 2) // (TOPIC_WIDTH + 2))
    groups = [cells[start : start + across] for start in range(0, len(cells), across)]
    return [
        Line("    ".join(text for text, _ in group), "warning" if any(loss for _, loss in group) else "plain")
        for group in groups
    ]


def _topic_cell(series: SeriesShot, old: SeriesShot, span_ns: int, now: Snapshot) -> tuple[str, bool]:
    missing = any(reader.lost or reader.dropped for reader in now.readers(series.plan.topic))
    name = cut(series.plan.topic, 17) + ("!" if missing else "")
    rate = units.rate(per_second(series.count, old.count, span_ns))
    return f"{name:<19}{rate:>10}{units.age(since_s(now.taken_ns, series.last_ns)):>8}", missing


def repeat(head: str, columns: int) -> str:
    """TOPIC_HEAD above each of them."""
    return "    ".join([head] * max(1, (columns + 2) // (TOPIC_WIDTH + 2)))


def fit(lines: list[Line], limit: int, what: str) -> list[Line]:
    """The first lines, and how many more there are."""
    if len(lines) <= limit:
        return lines
    kept = max(0, limit - 1)
    return [*lines[:kept], Line(f"… {len(lines) - kept} more {what}: use a taller terminal", "faint")]
