"""`cardan trace`: the way of each frame from its capture to the CAN frame it led to, hop by hop; and as a picture."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.durations import parse_duration_s
from cardan.runtime.cli.exits import Exit, NoDataError, UsageError
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.spread import Bar, picture, spread_cells
from cardan.runtime.cli.summary import Jitter
from cardan.runtime.cli.tap import keeps
from cardan.runtime.cli.trace_data import Collected, collect_last, collect_next
from cardan.runtime.cli.trace_export import trace_json
from cardan.runtime.cli.trace_hops import Way, follow, way_of
from cardan.runtime.cli.trace_path import paths_of
from cardan.runtime.clock import MonotonicClock

USUAL_LAST_S = 5.0
"""About as far back as the step log of a 100 Hz node reaches."""
REST = ("p99", "max")
RUN_HEAD = ("over the whole run", "arrives p50", *REST, "step p50", *REST, "age of capture p50", *REST)
FRAMES_HEAD = ("frame by frame", "p50", "p99", "max", "share", "from", "histogram", "to")


def run(arguments: argparse.Namespace) -> int:
    """Print the hops and write the trace; 3 when there is nothing to trace."""
    for_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    last_s = parse_duration_s(arguments.last, "--last") if arguments.last else USUAL_LAST_S
    if for_s and arguments.last:
        raise UsageError("--for looks ahead and --last looks back", hint="leave one of them out")
    clock = MonotonicClock()
    found = find_run(arguments.data_dir, must_live=for_s is not None)
    collected = collect_next(found, clock, for_s) if for_s else collect_last(found, clock, last_s)
    shot = found.snapshot(clock)
    frames = [(topics, follow(topics, collected.messages)) for topics in paths_of(found.plan)]
    ways = [way_of(shot, topics, followed) for topics, followed in frames]
    if not any(collected.steps.values()):
        raise NoDataError("no node has ended a step in this time", hint="`cardan status` shows what runs")
    if arguments.out:
        _write(Path(arguments.out), trace_json(found.plan, found.run_id, collected, frames))
    if arguments.json:
        document = {"schema_version": 1, "live": found.live, "run": found.run_id, **_facts(collected), "ways": ways}
        print(msgspec.json.encode({**document, "out": arguments.out}).decode())
    else:
        write_lines(trace_lines(ways, collected, arguments.out or ""), sys.stdout)
        if not for_s and not keeps(found):
            print("messages are not kept over ZeroMQ; `cardan trace --for 5s` listens to them", file=sys.stderr)
    return int(Exit.HEALTHY)


def _facts(collected: Collected) -> dict[str, object]:
    return {
        "duration_s": round((collected.end_ns - collected.begin_ns) / 1e9, 6),
        "steps": {name: len(steps) for name, steps in collected.steps.items()},
        "messages": {topic: len(sent) for topic, sent in collected.messages.items()},
        "unheard": collected.unheard,
        "missed": collected.missed,
    }


def _write(path: Path, content: bytes) -> None:
    """At once or not at all."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        staged.write_bytes(content)
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="name a file that you may write") from error


def trace_lines(ways: list[Way], collected: Collected, out: str) -> list[Line]:
    """The totals first, then a table for each way, then what the trace holds."""
    return [
        *[_total_line(way) for way in ways],
        *([] if ways else [Line("no way leads from a sensor to the actuators in this vehicle", "warning")]),
        *[line for way in ways for line in [*_run_lines(way), *_frame_lines(way)]],
        *_kept_lines(collected),
        *([Line(f"trace           {out}: open it in https://ui.perfetto.dev or chrome://tracing")] if out else []),
    ]


def _total_line(way: Way) -> Line:
    said = f"{way.topics[0]} to {way.topics[-1]}"
    if way.total_ms is None:
        return Line(f"{said}: no frame was seen from end to end in this time", "warning")
    p50, p99, highest = spread_cells(way.total_ms)
    frames = units.plural(way.frames, "frame")
    return Line(f"{said}: p50 {p50}, p99 {p99}, max {highest} from capture, {frames}", "title")


def _run_lines(way: Way) -> list[Line]:
    spreads = [(hop.topic, (hop.arrival_ms, hop.step_ms, hop.since_capture_ms)) for hop in way.hops]
    rows = [(cut(topic, 40), *(cell for one in three for cell in spread_cells(one))) for topic, three in spreads]
    head, *texts = table(RUN_HEAD, rows, "<>>>>>>>>>")
    return [Line(head, "title"), *(Line(text) for text in texts)]


def _frame_lines(way: Way) -> list[Line]:
    if way.total_ms is None:
        return []
    whole_ms = sum(hop.ms.p50 for hop in way.frame_hops if hop.ms)
    rows = [
        (_hop_name(way, place), *spread_cells(hop.ms), _share(hop.ms, whole_ms), *_histogram_cells(hop.histogram))
        for place, hop in enumerate(way.frame_hops)
    ]
    total = ("capture to CAN", *spread_cells(way.total_ms), "", *_histogram_cells(way.total_histogram))
    head, *texts = table(FRAMES_HEAD, [*rows, total], "<>>>>><<")
    return [Line(head, "title"), *(Line(text) for text in texts)]


def _hop_name(way: Way, place: int) -> str:
    before = way.topics[place - 1] if place else "capture"
    return cut(f"{before} to {way.topics[place]}", 60)


def _histogram_cells(bars: list[Bar]) -> tuple[str, str, str]:
    """Its lower end, its picture on a logarithmic scale, its upper end."""
    return units.latency(bars[0].low_ms), picture(bars), units.latency(bars[-1].high_ms)


def _share(spread: Jitter | None, whole_ms: float) -> str:
    return f"{100 * spread.p50 / whole_ms:.0f} %" if spread and whole_ms else units.NOTHING


def _kept_lines(collected: Collected) -> list[Line]:
    steps = sum(len(kept) for kept in collected.steps.values())
    messages = sum(len(sent) for sent in collected.messages.values())
    span = units.duration((collected.end_ns - collected.begin_ns) / 1e9)
    lines = [Line(f"seen            {span}: {units.count(steps)} steps, {units.count(messages)} messages")]
    if collected.unheard:
        lines.append(Line(f"not heard       {cut(' '.join(collected.unheard), 100)}", "warning"))
    if collected.missed:
        lines.append(
            Line(f"missed          {units.count(collected.missed)} messages were overwritten first", "warning")
        )
    return lines
