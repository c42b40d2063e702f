"""A bundle of a drive that goes on: how large, how long, at what price, and whether control notices."""

from __future__ import annotations

import os
import sys
import time
from itertools import zip_longest

from cli_usage import children_used
from rows import Row, at_most

from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.snapshot import Spread
from cardan.runtime.clock import MonotonicClock

MAKE = [sys.executable, "-m", "cardan.runtime.cli.main", "bundle", "make", "--json", "--out"]
CONTROL = "control"


def bundle_rows(folder: str, least_s: float, rounds: int) -> list[Row]:
    """Wait until the drive is `least_s` old, then make bundles of it, with as much time without one after each.

    How late control was is the p99.9 of the calmer three quarters of all rounds, with bundles and without: in others
    the host of a virtual machine took a processor away, which made one time of ten rounds half later than the next one
    though there was no bundle in either.
    """
    found, clock = find_run(None), MonotonicClock()
    age_s = _age_s(found, clock)
    if age_s < least_s:
        time.sleep(least_s - age_s)
    age_s, used, sizes = _age_s(found, clock), [], []
    quiet: list[Spread] = []
    busy: list[Spread] = []
    for number in range(rounds):
        file = f"{folder}/bundle-{number}.zip"
        before = _lateness(found, clock)
        used.append(children_used([*MAKE, file], os.environ))
        after = _lateness(found, clock)
        busy.append(after.since(before))
        sizes.append(os.path.getsize(file) / 1e6)
        time.sleep(used[-1].wall_s)
        quiet.append(_lateness(found, clock).since(after))
    of = f"bundle of {age_s / 60:.0f} min"
    with_it, without = (_of_the_calmer(rounds_of).at(0.999) / 1e3 for rounds_of in (busy, quiet))
    return [
        at_most(f"{of}, size", max(sizes), 20.0, "MB"),
        at_most(f"{of}, time", max(one.wall_s for one in used), 10.0, "s"),
        at_most(f"{of}, processor time", max(one.percent for one in used), 10.0, "% of a core"),
        Row(
            f"{of}, control's lateness p99.9 meanwhile",
            with_it,
            "us",
            "<= 1.1 x without",
            with_it <= 1.1 * without,
            "without",
            without,
            with_it / without if without else None,
        ),
    ]


def _of_the_calmer(rounds: list[Spread]) -> Spread:
    """Three quarters of the rounds, those with the lowest p99.9, together."""
    kept = sorted(rounds, key=lambda one: one.at(0.999))[: -(-3 * len(rounds) // 4)]
    counts = [sum(bins) for bins in zip_longest(*(one.counts for one in kept), fillvalue=0)]
    return Spread(counts, max(one.maximum for one in kept))


def _age_s(found: FoundRun, clock: MonotonicClock) -> float:
    shot = found.snapshot(clock)
    return float(shot.taken_ns - shot.started_ns) / 1e9


def _lateness(found: FoundRun, clock: MonotonicClock) -> Spread:
    nodes = found.snapshot(clock).nodes
    spread: Spread = next(node for node in nodes if node.plan.name == CONTROL).lateness
    return spread
