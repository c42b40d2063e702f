"""One row for each node of a run, from its plan and the vitals: what `cardan node list` and `info` show."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import UsageError
from cardan.runtime.cli.lines import Line, cut, safe_text, table
from cardan.runtime.cli.snapshot import NodeShot, Snapshot
from cardan.runtime.cli.summary import MS_PER_UNIT, OK, Jitter, spread_ms
from cardan.runtime.cli.view import DONE, TROUBLED, per_second, since_s, state_word
from cardan.runtime.errors import near_names
from cardan.runtime.vitals import NodeState
from cardan.runtime.wishes import POLICIES, ProcessSettings

HEAD = ("node", "state", "pid", "rate", "step p99", "late p99", "missed", "starts", "scheduling", "core")


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node."""

    name: str
    use: str
    """`module:Class`."""
    state: str
    pid: int
    """0 when it has no process."""
    core_group: str
    scheduling: str
    """What its process has: `fifo 50`, `other`, `other, nice -10`; empty before it steps."""
    restart: str
    """always, on-failure or never."""
    starts: int
    steps: int
    rate_hz: float | None
    """Steps a second over the whole run."""
    rate_wanted_hz: float | None
    """Of the manifest; None for a node that something else steps."""
    step_age_s: float | None
    """Since the end of its last step."""
    step_ms: Jitter | None
    late_ms: Jitter | None
    """How late its steps begin."""
    overruns: int
    missed: int
    crashes: int
    hangs: int
    exit_code: int
    fault_code: str
    fault_text: str
    condition: str
    """Code of what is not as it should be at this moment."""


def node_rows(shot: Snapshot) -> list[NodeRow]:
    """Every node in the order of the plan."""
    return [node_row(node, shot) for node in shot.nodes]


def node_row(node: NodeShot, shot: Snapshot) -> NodeRow:
    """One node."""
    _, fault_code, fault_text = node.fault or (0, "", "")
    stepped_by = node.plan.stepped_by
    return NodeRow(
        name=node.plan.name,
        use=node.plan.use,
        state=state_word(node.state),
        pid=node.pid,
        core_group=node.plan.core_group or "",
        scheduling=_scheduling(node.settings),
        restart=node.plan.restart,
        starts=node.starts,
        steps=node.steps,
        rate_hz=_rate_hz(node, shot),
        rate_wanted_hz=node.plan.rate_hz if stepped_by is None else None,
        step_age_s=since_s(shot.taken_ns, node.step_end_ns),
        step_ms=spread_ms(node.step_time, MS_PER_UNIT["ns"]),
        late_ms=spread_ms(node.lateness, MS_PER_UNIT["ns"]),
        overruns=node.overruns,
        missed=node.missed,
        crashes=node.crashes,
        hangs=node.hangs,
        exit_code=node.exit_code,
        fault_code=fault_code,
        fault_text=fault_text,
        condition=node.condition[1] if node.condition and node.state is NodeState.RUNNING else "",
    )


def verdict_of_nodes(rows: list[NodeRow], *, live: bool) -> str:
    """`ok`, or what is wrong with the first node that is not well."""
    for row in rows:
        if row.fault_code:
            return f"{row.name}: {row.fault_text or row.fault_code}"
        if live and row.state in AWAY:
            return f"{row.name} is {row.state}"
        if row.condition:
            return f"{row.name}: {row.condition}"
    return OK


def verdict_line(verdict: str, well: str) -> Line:
    """The verdict in its colour. well: what is said behind `ok`."""
    if verdict == OK:
        return Line(safe_text(f"{OK}: {well}"), "good")
    return Line(safe_text(f"not ok: {verdict}"), "bad")


AWAY = frozenset(map(state_word, TROUBLED))
ENDED = frozenset(map(state_word, DONE))


def require_node(shot: Snapshot, name: str) -> NodeShot:
    """The node of that name; UsageError lists near names."""
    for node in shot.nodes:
        if node.plan.name == name:
            return node
    raise UsageError(f'no node "{name}" in this run', hint=near_names(name, [node.plan.name for node in shot.nodes]))


def row_lines(rows: list[NodeRow]) -> list[Line]:
    """A table; nodes with a fault stand out."""
    head, *texts = table(HEAD, [_cells(row) for row in rows], "<<>>>>>><<")
    return [Line(head, "title"), *(Line(text, _role(row)) for text, row in zip(texts, rows, strict=True))]


def _cells(row: NodeRow) -> tuple[str, ...]:
    return (
        cut(row.name, 32),
        row.state,
        str(row.pid or units.NOTHING),
        units.rate(row.rate_hz),
        units.ms(row.step_ms.p99 if row.step_ms else None),
        units.ms(row.late_ms.p99 if row.late_ms else None),
        units.count(row.missed),
        str(row.starts),
        row.scheduling or units.NOTHING,
        row.core_group or units.NOTHING,
    )


def _role(row: NodeRow) -> str:
    if row.fault_code or row.state in AWAY:
        return "bad"
    if row.condition or row.starts > 1:
        return "warning"
    return "faint" if row.state in ENDED else "plain"


def _scheduling(has: ProcessSettings | None) -> str:
    if has is None:
        return ""
    policy = POLICIES.get(has.policy, str(has.policy))
    return policy + (f" {has.priority}" if has.priority else "") + (f", nice {has.nice}" if has.nice else "")


def _rate_hz(node: NodeShot, shot: Snapshot) -> float | None:
    """Over the whole run, restarts included; a node that was never ready has none."""
    if not node.ready_ns:
        return None
    begin_ns = node.ready_ns if node.starts == 1 else shot.started_ns
    end_ns = node.step_end_ns if shot.ended and node.step_end_ns else shot.taken_ns
    rate = per_second(node.steps, 0, end_ns - begin_ns)
    return None if rate is None else round(rate, 3)
