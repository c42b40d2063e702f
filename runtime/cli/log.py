"""`cardan log`: the event log of a run, of all writers, in the order of time; of runs that are over as well."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.exits import Exit, NoDataError, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.moments import clock_text, date_text, parse_moment_ns
from cardan.runtime.cli.place import newest_wall_ns, place_of
from cardan.runtime.cli.runs import Place, find_run
from cardan.runtime.cli.shapes import SCHEMA_VERSION
from cardan.runtime.clock import Clock, MonotonicClock, ns
from cardan.runtime.errors import near_names
from cardan.runtime.log.read import Follower, Wanted, known_runs, log_folder, read_log, wanted
from cardan.runtime.log.record import LEVELS, SUPERVISOR, LogRecord, encode

AROUND_NS = ns(5.0)
"""Before and after --at."""
LOOK_NS = ns(0.1)
"""How often a follower looks."""
ROLES = {"error": "bad", "warning": "warning", "info": "plain", "debug": "faint"}


def run(arguments: argparse.Namespace) -> int:
    """Print the records; 1 when one of them is an error."""
    clock = MonotonicClock()
    place = place_of(arguments)
    is_wanted = _filter(arguments, place)
    if arguments.follow:
        return _follow(arguments, place, is_wanted, clock)
    records = [record for record in _records(arguments, place, clock) if is_wanted(record)]
    if arguments.count:
        records = records[-parse_count(arguments.count, "--count") :]
    _print(records, as_json=arguments.json)
    if not records:
        print("no record fits: `--level debug` shows more", file=sys.stderr)
    return int(Exit.FINDING if any(record.level == "error" for record in records) else Exit.HEALTHY)


def _filter(arguments: argparse.Namespace, place: Place) -> Wanted:
    if arguments.level not in LEVELS:
        raise UsageError(f'no level "{arguments.level}"', hint=near_names(arguments.level, list(LEVELS)))
    for name in arguments.node or []:
        known = [*(node.name for node in find_run(place).plan.nodes), SUPERVISOR]
        if name not in known:
            raise UsageError(f'no node "{name}"', hint=near_names(name, known))
    return wanted(arguments.node or [], arguments.level, arguments.code or [])


def _records(arguments: argparse.Namespace, place: Place, clock: Clock) -> list[LogRecord]:
    """Of the run that the place names; with --since, of every run since then."""
    if arguments.since:
        since_ns = parse_moment_ns(arguments.since, "--since", newest_wall_ns(place, clock))
        folders = [log_folder(place.folder) / name for name in known_runs(place.folder)]
        return [record for folder in folders for record in read_log(folder) if record.wall_ns >= since_ns]
    folder = folder_of(place)
    records = read_log(folder)
    if place.at_ns is not None:
        records = [record for record in records if abs(record.wall_ns - place.at_ns) <= AROUND_NS]
    return records


def folder_of(place: Place) -> Path:
    """The log of the run that the place names; NoDataError when it has none."""
    found = find_run(place)
    folder = found.logs
    if not found.run_id or not folder.is_dir():
        raise NoDataError(f"the run {found.run_id} has no log in {found.data_dir}", hint="was it removed?")
    return folder


def _follow(arguments: argparse.Namespace, place: Place, is_wanted: Wanted, clock: Clock) -> int:
    """Print what comes; ends by --count, --for, or Ctrl-C."""
    most = parse_count(arguments.count, "--count") if arguments.count else None
    for_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    ends_ns = None if for_s is None else clock.now_ns() + ns(for_s)
    follower, said = Follower(folder_of(place)), 0
    while (most is None or said < most) and (ends_ns is None or clock.now_ns() < ends_ns):
        news = [record for record in follower.take() if is_wanted(record)]
        news = news if most is None else news[: most - said]
        _print(news, as_json=arguments.json)
        sys.stdout.flush()
        said += len(news)
        due_ns = clock.now_ns() + LOOK_NS
        clock.sleep_until_ns(due_ns if ends_ns is None else min(due_ns, ends_ns))
    return int(Exit.HEALTHY)


def _print(records: Iterable[LogRecord], *, as_json: bool) -> None:
    if as_json:
        for record in records:
            print(json_text(record))
    else:
        write_lines(record_lines(list(records)), sys.stdout)


def json_text(record: LogRecord) -> str:
    """One line of JSON Lines."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **json.loads(encode(record))}, ensure_ascii=True)


def record_lines(records: list[LogRecord]) -> list[Line]:
    """A line for each record; the day stands above where it changes."""
    lines, day = [], ""
    for record in records:
        date = date_text(record.wall_ns).split()[0]
        if date != day:
            lines.append(Line(f"{date} (UTC)", "title"))
            day = date
        lines.append(record_line(record))
    return lines


def record_line(record: LogRecord) -> Line:
    """`14:32:07.123  error    bridge      safe-stop  ...`"""
    who = record.node or SUPERVISOR
    text = safe_text(record.text.replace("\n", " | "))
    shown = (
        f"{clock_text(record.wall_ns)}  {record.level:<7}  {safe_text(who):<10}  {safe_text(record.code):<18}  {text}"
    )
    return Line(shown, ROLES[record.level])
