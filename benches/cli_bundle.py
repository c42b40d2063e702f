"""A bundle of a drive that goes on: how large, how long, at what price, and whether control notices."""

from __future__ import annotations

import os
import statistics
import sys
import time

from cli_usage import children_used
from rows import Row, at_most

from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.snapshot import Spread
from cardan.runtime.clock import MonotonicClock

MAKE = [sys.executable, "-m", "cardan.runtime.cli.main", "bundle", "make", "--json", "--out"]
CONTROL = "control"


def bundle_rows(folder: str, least_s: float, rounds: int) -> list[Row]:
    """Wait until the drive is `least_s` old, then make bundles of it, with as much time without one after each.

    How late control was is the p99.9 of each round, in the middle of all: of all steps together it is the work of a few
    moments in which the host takes a processor away, with a bundle or without (it differed by half between two times of
    ten rounds without one).
    """
    found, clock = find_run(None), MonotonicClock()
    age_s = _age_s(found, clock)
    if age_s < least_s:
        time.sleep(least_s - age_s)
    age_s, sizes, walls, shares = _age_s(found, clock), [], [], []
    quiet: list[float] = []
    busy: list[float] = []
    for number in range(rounds):
        file = f"{folder}/bundle-{number}.zip"
        before = _lateness(found, clock)
        began_s = time.monotonic()
        used = children_used([*MAKE, file], os.environ)
        after = _lateness(found, clock)
        busy.append(after.since(before).at(0.999) / 1e3)
        time.sleep(time.monotonic() - began_s)
        quiet.append(_lateness(found, clock).since(after).at(0.999) / 1e3)
        sizes.append(os.path.getsize(file) / 1e6)
        walls.append(used.wall_s)
        shares.append(used.percent)
    of = f"bundle of {age_s / 60:.0f} min"
    with_it, without = statistics.median(busy), statistics.median(quiet)
    return [
        at_most(f"{of}, size", max(sizes), 20.0, "MB"),
        at_most(f"{of}, time", max(walls), 10.0, "s"),
        at_most(f"{of}, processor time", max(shares), 10.0, "% of a core"),
        Row(
            f"{of}, control's lateness p99.9 meanwhile, median of {rounds}",
            with_it,
            "us",
            "<= 1.1 x without",
            with_it <= 1.1 * without,
            "without",
            without,
            with_it / without if without else None,
        ),
    ]


def _age_s(found: FoundRun, clock: MonotonicClock) -> float:
    shot = found.snapshot(clock)
    return float(shot.taken_ns - shot.started_ns) / 1e9


def _lateness(found: FoundRun, clock: MonotonicClock) -> Spread:
    nodes = found.snapshot(clock).nodes
    spread: Spread = next(node for node in nodes if node.plan.name == CONTROL).lateness
    return spread
