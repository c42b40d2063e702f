"""What watching costs who is watched, and what a fast topic costs a node that does not read it: a watched bus.

    python benches/bus_watch.py             # about 3 minutes
    python benches/bus_watch.py --quick     # within 50 s

Processor time is that of the kernel's scheduler (schedstat, in nanoseconds), of all threads of a process. The two cases
of a row are measured by turns within one run: watchers are stopped and let go on with signals, and the fast publisher
is silent in every second phase while it goes on stepping.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
from light import LightRun, folders, node, plan_of, running, wait_until
from light_nodes import Alternating
from rows import Row, parse_arguments, report

from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeVitals, SeriesKind, SeriesVitals

WATCHERS = 4
SETTLE_S = 0.15
SLOW_NODES = 24
"""Nodes of 1 Hz whose processor time is added up: one alone uses too little to be told from noise."""


class Used(NamedTuple):
    """What some processes have used, together."""

    cpu_ns: int
    wake_ups: int


def rows(quick: bool) -> list[Row]:
    """All rows; about 30 s when quick, three minutes else."""
    return watch_rows(quick=quick) + neighbour_rows(quick=quick)


def watch_rows(*, quick: bool = False) -> list[Row]:
    """Processor time of a publisher for each message while four `cardan topic echo` print its topic.

    Compared with the same four printing another topic: four busy processes on the same cores cost everybody something.
    """
    rounds = 4 if quick else 20
    made = []
    for bus in ("ring",) if quick else ("ring", "zmq"):
        with folders() as folder:
            nobody, elsewhere, here = _watched(_burst_plan(bus), folder, rounds)
        name = f"processor time of a publisher for each message, {WATCHERS} watchers ({bus})"
        if bus == "ring":
            made.append(_compared(name, "us", here, elsewhere, "watchers of another topic", 1.05))
        made.append(_shown(name, "us", here, nobody, "no watchers"))
    return made


def neighbour_rows(*, quick: bool = False) -> list[Row]:
    """Processor time of 1 Hz nodes beside a topic of 500 Hz that they do not read, and while that is silent."""
    slow = [node(f"slow{n}", "Sink", reads="tick/tick", rate_hz=1.0) for n in range(SLOW_NODES)]
    plan = plan_of(
        [
            node("tick", "Source", sends="tick", rate_hz=1.0),
            node("fast", "Alternating", sends="tick", rate_hz=500.0),
            node("near", "Sink", reads="fast/tick", rate_hz=500.0),
            *slow,
        ]
    )
    with folders() as folder, running(plan, folder) as run:
        busy, quiet = _phases(run, [item.name for item in slow], 6 if quick else 30)
    beside = "beside a topic of 500 Hz"
    return [
        _compared(f"processor time of a 1 Hz node {beside}", "us/s", busy[0], quiet[0], "beside a silent one", 1.05),
        _compared(f"wake-ups of a 1 Hz node {beside}", "1/s", busy[1], quiet[1], "beside a silent one", 1.05),
    ]


def _compared(name: str, unit: str, value: float, peer: float, peer_name: str, bar: float) -> Row:
    row = _shown(name, unit, value, peer, peer_name)
    return replace(row, bar=f"<= {bar:g} x {peer_name}", ok=value <= bar * peer)


def _shown(name: str, unit: str, value: float, peer: float, peer_name: str) -> Row:
    return Row(name, round(value, 3), unit, "shown", True, peer_name, round(peer, 3), round(value / peer, 3))


def _burst_plan(bus: str) -> Plan:
    """Two publishers of 1000 messages a second, and a reader of each."""
    publishers = [node(name, "Burst", sends="tick", rate_hz=20.0) for name in ("source", "other")]
    readers = [node(f"of_{name}", "Sink", reads=f"{name}/tick", rate_hz=20.0) for name in ("source", "other")]
    return msgspec.structs.replace(plan_of([*publishers, *readers]), bus=bus)


def _watched(plan: Plan, folder: Path, rounds: int) -> tuple[float, float, float]:
    """Median microseconds a message of `source`: nobody watches, the other is watched, it is watched; by turns."""
    with running(plan, folder) as run, _watchers("other") as others, _watchers("source") as own:
        cases: list[list[int]] = [[], others, own]
        costs: list[list[float]] = [[], [], []]
        for turn in range(len(cases) * rounds):
            case = turn % len(cases)
            for watcher in [*others, *own]:
                os.kill(watcher, signal.SIGCONT if watcher in cases[case] else signal.SIGSTOP)
            time.sleep(SETTLE_S)
            costs[case].append(_cost_us(run))
        nobody, elsewhere, here = (statistics.median(measured) for measured in costs)
        return nobody, elsewhere, here


def _cost_us(run: LightRun) -> float:
    """Processor time of `source` for each of its messages, over a second."""
    pid, sent = run.pid("source"), _output(run, "source")
    cpu_ns, count = cpu_of(pid), sent.words[SeriesVitals.COUNT]
    time.sleep(1.0)
    return (cpu_of(pid) - cpu_ns) / 1000 / (sent.words[SeriesVitals.COUNT] - count)


def _output(run: LightRun, name: str) -> SeriesVitals:
    found = run.vitals.nodes[name].find(SeriesKind.OUTPUT, "tick")
    if found is None:
        raise SystemExit(f"{name} has no output")
    return found


@contextmanager
def _watchers(publisher: str) -> Iterator[list[int]]:
    """`cardan topic echo` four times, each of which has printed something."""
    code = "import sys; from cardan.runtime.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "topic", "echo", f"{publisher}/tick", "--json"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(WATCHERS)]
    sinks = []
    try:
        for process in started:
            if process.stdout is None or not process.stdout.readline():
                raise SystemExit("a watcher saw nothing")
            sinks.append(subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL))
            process.stdout.close()
        yield [process.pid for process in started]
    finally:
        for process in [*started, *sinks]:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def _phases(run: LightRun, names: list[str], rounds: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Medians of a node's microseconds and wake-ups a second, in busy and in silent phases of the fast topic.

    All nodes are let go together, so each slow one steps once in the middle of each phase.
    """
    fast = _output(run, "fast")
    wait_until(lambda: fast.words[SeriesVitals.COUNT], "the first message of the fast topic", 10.0)
    wait_until(lambda: run.word(names[0], NodeVitals.STEP_START_NS), f"the first step of {names[0]}", 10.0)
    pids = [run.pid(name) for name in names]
    phases: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    span_ns = Alternating.PHASE_NS
    change_ns = run.word(names[0], NodeVitals.STEP_START_NS) + span_ns // 2
    phase = 0
    for _ in range(2 * rounds):
        coming = (time.monotonic_ns() - change_ns) // span_ns + 1
        phase = coming + (coming % 2 == phase % 2)  # by turns, also where looking takes so long that one is missed
        _sleep_until_ns(change_ns + phase * span_ns)
        begin_ns, count, before = time.monotonic_ns(), fast.words[SeriesVitals.COUNT], _used(pids)
        _sleep_until_ns(begin_ns + span_ns - 20_000_000)
        after, node_seconds = _used(pids), (time.monotonic_ns() - begin_ns) / 1e9 * len(pids)
        rates = ((after.cpu_ns - before.cpu_ns) / 1000, float(after.wake_ups - before.wake_ups))
        phases[fast.words[SeriesVitals.COUNT] - count > 100].append((rates[0] / node_seconds, rates[1] / node_seconds))
    return _medians(phases[True]), _medians(phases[False])


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def _used(pids: list[int]) -> Used:
    switches = [re.search(r"^voluntary_ctxt_switches:\s*(\d+)", _status(pid), re.MULTILINE) for pid in pids]
    return Used(sum(cpu_of(pid) for pid in pids), sum(int(found[1]) for found in switches if found))


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def _sleep_until_ns(deadline_ns: int) -> None:
    time.sleep(max(0, deadline_ns - time.monotonic_ns()) / 1e9)


def cpu_of(pid: int) -> int:
    """Processor time that all threads of a process have used, in nanoseconds."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    return report("bus_watch", rows(arguments.quick), as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
