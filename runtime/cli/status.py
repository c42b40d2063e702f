"""`cardan status`: the verdict and one screen, of the run that is active, else of the last one."""

from __future__ import annotations

import argparse
import sys

import msgspec
from msgspec.structs import replace

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.groups import Taken, group_lines, taken
from cardan.runtime.cli.kept import recording_of, synced_of
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.report import report
from cardan.runtime.cli.runs import FoundRun, find_run, stamp
from cardan.runtime.cli.screen import terminal_size
from cardan.runtime.cli.settings import all_differences, setting_lines
from cardan.runtime.cli.snapshot import NodeShot, SeriesShot, Snapshot
from cardan.runtime.cli.summary import OK, Summary, first_cause, summarise
from cardan.runtime.cli.timing import NodeTiming, node_timing
from cardan.runtime.cli.view import Scene, headline, mode_row, render, since_s, state_word
from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.faults import find_fault
from cardan.runtime.vitals import NodeState
from cardan.runtime.wishes import Difference


class StatusDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `cardan status --json` prints."""

    schema_version: int = 1
    verdict: str
    live: bool
    run: str
    vehicle: str
    profile: str
    state: str
    started: str
    """Wall time, ISO 8601."""
    node_states: dict[str, str]
    mode: str
    """`safe-stop`, or `degraded:` and what is missing; empty in normal operation."""
    mode_text: str
    cause_code: str
    """Code of the first cause, see docs/faults.md; empty while there is none."""
    cause_after_s: float | None
    """When it was seen, counted from the start of the run."""
    cure: str
    """What helps against it, where it is a code of ours."""
    conditions: dict[str, str]
    """Node -> code of what is not as it should be at this moment."""
    settings: list[Difference]
    """What the processes of the nodes were to have and do not."""
    groups: str
    """Where the control groups of the nodes are, or why there are none."""
    taken: dict[str, Taken]
    """What each node with a control group has taken in this run."""
    timing: dict[str, NodeTiming]
    summary: Summary


def run(arguments: argparse.Namespace) -> int:
    """Print the status; 0 when the verdict is ok and every node has the settings that the profile demands."""
    clock = MonotonicClock()
    found = find_run(arguments.data_dir)
    shot = found.snapshot(clock)
    summary = _summary(found, shot)
    if arguments.json:
        print(msgspec.json.encode(_document(found, shot, summary)).decode())
    else:
        lines = _screen(found, shot) if found.live else _last(found, shot, summary, clock)
        more = [*condition_lines(shot), *help_lines(shot), *setting_lines(all_differences(found.plan, shot))]
        write_lines([*lines, *more, *group_lines(shot)], sys.stdout)
    refused = any(item.demanded for item in all_differences(found.plan, shot))
    healthy = summary.verdict == OK and not refused and not (found.live and headline(shot)[1] == "bad")
    return int(Exit.HEALTHY if healthy else Exit.FINDING)


def cause_code(shot: Snapshot) -> str:
    """Code of the first cause; empty while there is none."""
    cause = first_cause(shot)
    return "" if cause is None else cause[1]


def cause_after_s(shot: Snapshot) -> float | None:
    """When the first cause was seen, counted from the start of the run; None while there is none."""
    cause = first_cause(shot)
    return None if cause is None else round((cause[0] - shot.started_ns) / 1e9, 3)


def _cure(shot: Snapshot) -> str:
    fault = find_fault(cause_code(shot))
    return "" if fault is None else fault.cure


def help_lines(shot: Snapshot) -> list[Line]:
    """The mode with its whole text, and what the table of faults says about the first cause."""
    fault, after_s = find_fault(cause_code(shot)), cause_after_s(shot)
    mode = [Line(""), Line(safe_text(mode_row(shot)), "bad")] if shot.mode else []
    if fault is None:
        return mode
    return [
        *mode,
        Line(""),
        Line(f"{fault.code}, {after_s or 0:.3f} s after the start: {fault.meaning}"),
        Line(f"  likely: {fault.cause}"),
        Line(f"  try: {fault.cure}"),
    ]


def with_conditions(shot: Snapshot) -> list[tuple[NodeShot, int, str]]:
    """Running nodes that say that something is not as it should be, since when, and the code of it."""
    return [(node, *node.condition) for node in shot.nodes if node.condition and node.state is NodeState.RUNNING]


def condition_lines(shot: Snapshot) -> list[Line]:
    """What is not as it should be at this moment, since when, and what helps."""
    lines = []
    for node, since_ns, code in with_conditions(shot):
        fault = find_fault(code)
        meaning = f": {fault.meaning}" if fault is not None else ""
        held = units.age(since_s(shot.taken_ns, since_ns))
        lines += [Line(""), Line(safe_text(f"{node.plan.name}  {code} for {held}{meaning}"), "bad")]
        lines += [Line(f"  try: {fault.cure}")] if fault is not None else []
    return lines


def at_start(shot: Snapshot) -> Snapshot:
    """The snapshot as it was when nothing had happened: the difference to it gives means over the whole run."""
    nodes = [replace(node, steps=0, series=[_unused(series) for series in node.series]) for node in shot.nodes]
    return replace(shot, taken_ns=shot.started_ns, nodes=nodes)


def _unused(series: SeriesShot) -> SeriesShot:
    unused = replace(series, count=0, sum=0, bytes=0, spread=series.spread.unused)
    return replace(unused, lost=0, overtaken=0, dropped=0, late=0, torn=0, restarts=0)


def _summary(found: FoundRun, shot: Snapshot) -> Summary:
    recording = recording_of(found.plan, found.data_dir, found.run_id)
    return summarise(
        found.plan,
        shot,
        trouble=found.trouble(shot),
        recording=recording[0] if recording else None,
        synced=synced_of(found.plan, found.data_dir),
    )


def _document(found: FoundRun, shot: Snapshot, summary: Summary) -> StatusDocument:
    return StatusDocument(
        verdict=summary.verdict,
        live=found.live,
        run=found.run_id,
        vehicle=found.plan.name,
        profile=found.plan.profile.name,
        state=shot.state.name.lower(),
        started=stamp(shot.started_wall_ns).isoformat(timespec="seconds"),
        node_states={node.plan.name: state_word(node.state) for node in shot.nodes},
        mode=shot.mode,
        mode_text=shot.mode_text,
        cause_code=cause_code(shot),
        cause_after_s=cause_after_s(shot),
        cure=_cure(shot),
        conditions={node.plan.name: code for node, _, code in with_conditions(shot)},
        settings=all_differences(found.plan, shot),
        groups=shot.groups_text,
        taken=taken(shot),
        timing={node.plan.name: node_timing(node) for node in shot.nodes},
        summary=summary,
    )


def _screen(found: FoundRun, shot: Snapshot) -> list[Line]:
    columns, _ = terminal_size(sys.stdout)
    recording = recording_of(found.plan, found.data_dir, found.run_id)
    scene = Scene(
        plan=found.plan,
        now=shot,
        before=at_start(shot),
        recording=recording[0] if recording else "",
        recording_bytes=recording[1] if recording else None,
        note=f"run {found.run_id}, active; rates are means over the run",
    )
    title, verdict, *rest = render(scene, columns, rows=1000)
    return [verdict, title, *rest]


def _when_it_was(found: FoundRun, ended: str) -> str:
    if found.bundle is None:
        return f"no run is active; this is the last one, it ended {ended}"
    made = f"bundle {found.bundle.id}, made {stamp(found.bundle.made_wall_ns):%Y-%m-%d %H:%M:%S} UTC"
    return f"{made}, while the run was active" if found.bundle.was_live else f"{made}; the run ended {ended}"


def _last(found: FoundRun, shot: Snapshot, summary: Summary, clock: Clock) -> list[Line]:
    ended_wall_ns = shot.started_wall_ns + round(summary.duration_s * 1e9)
    ago = units.age(max(0.0, (clock.wall_ns() - ended_wall_ns) / 1e9))
    when = f"{stamp(ended_wall_ns):%Y-%m-%d %H:%M:%S} UTC"
    label = Line(_when_it_was(found, f"{ago} ago ({when})"), "warning")
    verdict, *rest = report(summary, found.title)
    return [verdict, label, *rest]
