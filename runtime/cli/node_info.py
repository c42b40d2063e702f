"""`cardan node info`: everything about one node of a run."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.edges import Edge, edges_of
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.groups import Taken, taken
from cardan.runtime.cli.lines import Line, cut, safe_text, table, write_lines
from cardan.runtime.cli.log import record_lines
from cardan.runtime.cli.node_rows import NodeRow, node_row, require_node, row_lines, verdict_line, verdict_of_nodes
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.settings import all_differences, setting_lines
from cardan.runtime.cli.snapshot import MICRO, NodeShot, SeriesShot, Snapshot
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.summary import OK
from cardan.runtime.cli.topics import TopicRow, topic_rows
from cardan.runtime.cli.view import since_s
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.log.read import read_log
from cardan.runtime.log.record import LogRecord
from cardan.runtime.vitals import SeriesKind
from cardan.runtime.wishes import Difference

LAST_LINES = 5


class InputRow(msgspec.Struct, frozen=True, kw_only=True):
    """One topic that the node reads."""

    age_s: float | None
    """Of its newest message."""
    worst_age_ms: float | None
    """When a step began; None where an input reads many topics."""
    edge: Edge


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity that the node measures, in its unit."""

    name: str
    unit: str
    count: int
    mean: float | None
    p99: float | None
    max: float | None


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a run."""

    node: NodeRow
    differences: list[Difference]
    """What its process was to have and does not."""
    taken: Taken | None
    """None where it has no control group."""
    inputs: list[InputRow]
    outputs: list[TopicRow]
    metrics: list[MetricRow]
    log: list[LogRecord]
    """The last of it."""


def run(arguments: argparse.Namespace) -> int:
    """Print it; 1 when the node has a fault or is away."""
    found = find_run(arguments.data_dir)
    shot = found.snapshot(MonotonicClock())
    info = _info(found, shot, require_node(shot, arguments.node))
    verdict = verdict_of_nodes([info.node], live=found.live)
    if arguments.json:
        head = {"schema_version": 1, "verdict": verdict, "live": found.live, "run": found.run_id}
        print(msgspec.json.encode({**head, **msgspec.structs.asdict(info)}).decode())
    else:
        if not found.live:
            print("no run is active; this is a node of the last one", file=sys.stderr)
        first = verdict_line(verdict, f"{info.node.name} is {info.node.state}")
        write_lines([first, *info_lines(info)], sys.stdout)
    return int(Exit.HEALTHY if verdict == OK else Exit.FINDING)


def _info(found: FoundRun, shot: Snapshot, node: NodeShot) -> NodeInfo:
    name, started = node.plan.name, at_start(shot)
    reads = {(series.plan.name, series.plan.topic): series for series in node.of_kind(SeriesKind.INPUT)}
    folder = found.logs
    records = read_log(folder) if found.run_id and folder.is_dir() else []
    return NodeInfo(
        node=node_row(node, shot),
        differences=[item for item in all_differences(found.plan, shot) if item.node == name],
        taken=taken(shot).get(name),
        inputs=[
            _input(edge, reads[edge.port, edge.topic], shot)
            for edge in edges_of(found.plan, shot, started)
            if edge.reader == name
        ],
        outputs=[row for row in topic_rows(found.plan, shot, started) if row.publisher == name],
        metrics=[_metric(series) for series in node.of_kind(SeriesKind.METRIC)],
        log=[record for record in records if record.node == name][-LAST_LINES:],
    )


def _input(edge: Edge, series: SeriesShot, shot: Snapshot) -> InputRow:
    return InputRow(
        age_s=since_s(shot.taken_ns, series.last_ns),
        worst_age_ms=round(series.worst_age_ns / 1e6, 3) if series.worst_age_ns else None,
        edge=edge,
    )


def _metric(series: SeriesShot) -> MetricRow:
    counted = series.count > 0
    return MetricRow(
        name=series.plan.name,
        unit=series.plan.unit,
        count=series.count,
        mean=_rounded(series.sum / series.count * MICRO) if counted else None,
        p99=_rounded(series.spread.at(0.99) * MICRO) if counted and series.spread.total else None,
        max=_rounded(series.spread.maximum * MICRO) if counted else None,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def info_lines(info: NodeInfo) -> list[Line]:
    """The row of `cardan node list`, then a table for each kind of port."""
    row = info.node
    lines = [*row_lines([row]), Line(safe_text(f"{row.use}, restart {row.restart}"), "faint")]
    if row.exit_code or row.crashes or row.hangs:
        lines.append(Line(f"crashed {row.crashes}, hung {row.hangs}, last exit code {row.exit_code}", "warning"))
    if info.taken is not None:
        peak = f", at most {info.taken.memory_peak_mib:g} MiB" if info.taken.memory_peak_mib else ""
        lines.append(Line(f"has taken {info.taken.cpu_s:g} s of processor time{peak}", "faint"))
    lines += setting_lines(info.differences)
    lines += _titled(
        ("reads", "input", "messages", "age", "one way p99", "lost", "dropped", "late"),
        [_input_cells(item) for item in info.inputs],
        "<<>>>>>>",
    )
    lines += _titled(
        ("says", "type", "messages", "rate", "age", "readers"), [_output_cells(item) for item in info.outputs], "<<>>><"
    )
    lines += _titled(
        ("measures", "unit", "count", "mean", "p99", "max"), [_metric_cells(item) for item in info.metrics], "<<>>>>"
    )
    return [*lines, *([Line(""), *record_lines(info.log)] if info.log else [])]


def _titled(head: tuple[str, ...], rows: list[tuple[str, ...]], aligned: str) -> list[Line]:
    if not rows:
        return []
    first, *texts = table(head, rows, aligned)
    return [Line(""), Line(first, "title"), *(Line(safe_text(text)) for text in texts)]


def _input_cells(item: InputRow) -> tuple[str, ...]:
    edge = item.edge
    return (
        cut(edge.topic, 40),
        edge.port + (f" (queue {edge.queue})" if edge.queue else ""),
        units.count(edge.delivered),
        units.age(item.age_s),
        units.latency(edge.one_way_ms.p99 if edge.one_way_ms else None),
        units.count(edge.lost + edge.torn),
        units.count(edge.dropped),
        units.count(edge.late),
    )


def _output_cells(item: TopicRow) -> tuple[str, ...]:
    return (
        cut(item.topic, 40),
        cut(item.type.partition(":")[2], 24),
        units.count(item.published),
        units.rate(item.rate_hz),
        units.age(item.age_s),
        cut(" ".join(item.readers), 60) or units.NOTHING,
    )


def _metric_cells(item: MetricRow) -> tuple[str, ...]:
    values = (units.NOTHING if value is None else f"{value:g}" for value in (item.mean, item.p99, item.max))
    return (item.name, item.unit or units.NOTHING, units.count(item.count), *values)
