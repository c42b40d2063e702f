"""`cardan bundle make`: collect what a run left, clean it, and pack it into one file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from cardan.runtime.bundle.header import Collected
from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.make import begin, collect_all, pack, target_of
from cardan.runtime.bundle.pace import Pace
from cardan.runtime.bundle.redact import Redaction
from cardan.runtime.cli.bundle_send import put_into_outbox, require_consent, sent_text
from cardan.runtime.cli.bundle_show import document, header_lines, verdict_of
from cardan.runtime.cli.exits import Exit, NoDataError, UsageError
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.place import place_of
from cardan.runtime.cli.process_start import process_start_ns
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.version import versions
from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.process_stat import stat_field
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import NodeVitals

PROCESSOR = 39
"""Field of /proc/PID/stat: where it ran last."""
GIVE_WAY = 10
"""How nice the collectors are: nothing that drives waits for them."""
BACKGROUND = "background"
"""The core group of what nobody waits for."""
LARGEST_MB = 2000.0
RECORDINGS_NS = ns(0.25)
"""Of a processor, beside a vehicle that runs: a minute or two of telemetry."""


def run(arguments: argparse.Namespace) -> int:
    """Make it; 1 when a collector failed."""
    clock = MonotonicClock()
    found = find_run(place_of(arguments))
    if found.bundle is not None:
        raise UsageError("this is a bundle already", hint="`cardan bundle redact` takes more out of it")
    redaction = Redaction(positions=arguments.no_positions, pictures=not arguments.pictures)
    limit_bytes = _bytes(arguments.size)
    if arguments.send:
        require_consent(found)
    if not arguments.hurry:
        give_way(found)
    progress, folder = begin(found.data_dir, found.run_id, f"{redaction} {limit_bytes}", clock.wall_ns())
    if progress.done:
        print(f"going on with {progress.id}, which has {len(progress.done)} parts", file=sys.stderr)
    job = _job(found, folder, redaction, limit_bytes, hurry=arguments.hurry)
    pace = Pace(clock, process_start_ns(clock)) if found.live and not arguments.hurry else None
    collect_all(job, progress, _say, pace=pace)
    target = Path(arguments.out).expanduser() if arguments.out else target_of(found.data_dir, progress.id)
    header = pack(job, progress, clock.wall_ns(), (platform.node(), versions()["cardan"]), target, pace)
    sent = put_into_outbox(target, found) if arguments.send else None
    if arguments.json:
        print(json.dumps(document(header, target, verdict=verdict_of(header), sent=sent)))
    else:
        more = [Line(""), Line(sent_text(header.id))] if sent else []
        write_lines([*header_lines(header, target), *more], sys.stdout)
    return int(Exit.HEALTHY if verdict_of(header) == "ok" else Exit.FINDING)


def give_way(found: FoundRun) -> None:
    """Let everything that drives come first, and keep off its processors.

    Those that the profile has for the rest are left; where it names none, all but the one on which most of what is
    critical ran last: control was a tenth later now and then while a bundle was made on the same one.
    """
    os.nice(GIVE_WAY)
    cores = found.plan.profile.cores.get(BACKGROUND)
    allowed = set(cores) if isinstance(cores, list) else os.sched_getaffinity(0) - _driven_on(found)
    if allowed:
        with suppress(OSError):  # of a profile that is not of this computer
            os.sched_setaffinity(0, allowed)


def _driven_on(found: FoundRun) -> set[int]:
    """The processor on which most critical nodes ran last; empty when none of them runs."""
    nodes = [node.name for node in found.plan.nodes if node.critical] if found.live else []
    ran_on = Counter(_last_processors(found.vitals.nodes[name].words[NodeVitals.PID] for name in nodes))
    return {processor for processor, _ in ran_on.most_common(1)}


def _last_processors(pids: Iterable[int]) -> Iterator[int]:
    """Of those processes that are there."""
    for pid in pids:
        with suppress(OSError):
            yield stat_field(pid, PROCESSOR)


def _job(found: FoundRun, folder: Path, redaction: Redaction, limit_bytes: int, *, hurry: bool = False) -> Job:
    if not found.run_id:
        raise NoDataError("the last run has no log, so nothing can be said of it", hint="was its log removed?")
    if found.bus_dir is not None:
        paths = RunPaths(found.bus_dir.parent, found.data_dir)
        plan_path, vitals_path, bus_dir = paths.plan, paths.vitals, found.bus_dir
    else:
        kept = found.kept_dir or RunPaths(Path(), found.data_dir).last
        plan_path, vitals_path, bus_dir = kept / "plan.json", kept / "vitals", found.kept_bus_dir
    return Job(
        folder=folder,
        data_dir=found.data_dir,
        run_id=found.run_id,
        plan=found.plan,
        plan_path=plan_path,
        vitals_path=vitals_path,
        bus_dir=bus_dir if bus_dir.is_dir() else None,
        is_live=found.live,
        clock=MonotonicClock(),
        limit_bytes=limit_bytes,
        recordings_ns=RECORDINGS_NS if found.live and not hurry else None,
        redaction=redaction,
    )


def _bytes(text: str) -> int:
    try:
        size_mb = float(text)
    except ValueError:
        size_mb = 0.0
    if not 1.0 <= size_mb <= LARGEST_MB:
        raise UsageError(f'--size "{text}": expected megabytes from 1 to {LARGEST_MB:g}', hint="--size 20")
    return round(size_mb * 1e6)


def _say(item: Collected) -> None:
    """How far it is, on stderr of a terminal."""
    if sys.stderr.isatty():
        print(f"{item.name}: {item.text}"[:110], file=sys.stderr)
