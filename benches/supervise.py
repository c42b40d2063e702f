"""What supervision costs and how fast it is: crash, hang, start, and the supervisor at rest, beside its peers.

python benches/supervise.py            # a few minutes, 225 kills
python benches/supervise.py --quick    # within 50 s, 45 kills

Needs the privilege for SCHED_FIFO for the row on hangs. Peers are measured when supervisord, circusd and dora are found
on the PATH: `make bench` installs them in an environment of their own.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import peers
from light import folders, light_plan, running
from rows import Row, at_most, parse_arguments, report

ROUNDS = 5
SINKS = 9
SETTLE_S = 0.05
MIB = 1024 * 1024


def quantile(values: list[float], fraction: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def crash_round(folder: Path) -> tuple[list[float], float]:
    """Every sink of a fresh vehicle killed once, so that each restart is a first one; and its start's spread."""
    with running(light_plan(SINKS), folder) as run:
        run.wait_for_inputs()
        spread_ms = run.ready_spread_ms()
        times_ms = []
        for node in run.plan.nodes[1:]:
            time.sleep(SETTLE_S)
            times_ms.append(run.after_signal_ms(node.name, signal.SIGKILL, lambda name=node.name: run.has_input(name)))  # type: ignore[misc]
        return times_ms, spread_ms


def crashes(folder: Path, quick: bool) -> list[Row]:
    """Ours and each peer, one round after the other; who is not measured stands still."""
    kills_of_a_peer = 1 if quick else 2
    ours: list[float] = []
    spreads: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in peers.installed()}
    with ExitStack() as closing:
        waiting = {name: closing.enter_context(peers.peer(name)) for name in theirs}
        for number in range(ROUNDS):
            with ExitStack() as thawing:
                for peer in waiting.values():
                    thawing.enter_context(peer.frozen())
                for _ in range(1 if quick else 5):
                    times_ms, spread_ms = crash_round(folder)
                    ours += times_ms
                    spreads.append(spread_ms)
            for name, peer in waiting.items():
                theirs[name] += peer_round(peer, number, kills_of_a_peer)
    p50 = statistics.median(ours)
    rows = [
        at_most(f"SIGKILL to the successor's first input, p50 of {len(ours)}", p50, 30, "ms"),
        at_most(f"SIGKILL to the successor's first input, p99 of {len(ours)}", quantile(ours, 0.99), 100, "ms"),
    ]
    rows += [peer_row(name, p50, theirs.get(name)) for name in peers.PROGRAMS]
    spread = statistics.median(spreads)
    rows.append(at_most(f"ten nodes ready after one another within, median of {len(spreads)}", spread, 150, "ms"))
    return rows


def peer_round(peer: peers.Peer, number: int, kills: int) -> list[float]:
    """Some nodes killed, each once in the whole bench."""
    times_ms = []
    for kill in range(kills):
        time.sleep(SETTLE_S)
        times_ms.append(peer.restart_ms(f"n{number * kills + kill}"))
    return times_ms


def peer_row(name: str, ours_ms: float, theirs: list[float] | None) -> Row:
    """Our median beside a peer's."""
    what = f"SIGKILL to the successor's first input, p50 beside {name}"
    if not theirs:
        return Row(what, None, f"{name} is not installed", "measured", False, name)
    median = statistics.median(theirs)
    ratio = ours_ms / median
    return Row(what, round(ours_ms, 2), "ms", "< 1 x", ratio < 1, name, round(median, 2), round(ratio, 4))


def hangs(folder: Path, quick: bool) -> list[Row]:
    """SIGSTOP to nodes under SCHED_FIFO; from the signal to the end of the successor's first step."""
    times_ms: list[float] = []
    for _ in range(1 if quick else ROUNDS):
        with running(light_plan(SINKS, realtime=True), folder) as run:
            run.wait_for_inputs()
            for node in run.plan.nodes[1:]:
                time.sleep(SETTLE_S)
                times_ms.append(run.after_signal_ms(node.name, signal.SIGSTOP, lambda name=node.name: run.runs(name)))  # type: ignore[misc]
    what = f"real-time node hung (SIGSTOP) to running again, of {len(times_ms)}"
    return [
        at_most(f"{what}, p50", statistics.median(times_ms), 250, "ms"),
        at_most(f"{what}, worst", max(times_ms), 250, "ms"),
    ]


def idle(folder: Path, seconds: float) -> list[Row]:
    """What supervisor and nodes take while nothing happens; the peers likewise."""
    with running(light_plan(SINKS), folder) as run:
        run.wait_for_inputs()
        own = [run.supervisor_pid, run.process.pid]
        percent = cpu_percent(own, seconds)
        rows = [
            at_most("supervisor and guardian at rest, ten nodes: CPU", percent, 0.5, "% of a core"),
            at_most("supervisor and guardian: memory (PSS)", memory_mib(own), 25, "MiB"),
            at_most("a node: memory (PSS), mean", memory_mib(node_pids := [run.pid(n.name) for n in run.plan.nodes])
                    / len(node_pids), 12, "MiB"),
        ]  # fmt: skip
    with running(light_plan(SINKS, realtime=True), folder) as run:
        run.wait_for_inputs()
        watching = cpu_percent([run.supervisor_pid, run.process.pid], seconds)
    rows.append(at_most("the same while nine of ten nodes are real-time: CPU", watching, 0.5, "% of a core"))
    for name in peers.installed():
        with peers.peer(name) as peer:
            theirs = peer.own_pids()
            rows.append(idle_row(name, "CPU", "% of a core", cpu_percent(theirs, seconds), percent))
            rows.append(idle_row(name, "memory (PSS)", "MiB", memory_mib(theirs), rows[1].value or 0.0))
    return rows


def idle_row(name: str, what: str, unit: str, theirs: float, ours: float) -> Row:
    ratio = round(ours / theirs, 3) if theirs else None
    return Row(f"at rest, {what}, beside {name}", round(ours, 3), unit, "shown", True, name, round(theirs, 3), ratio)


def cpu_percent(pids: list[int], seconds: float) -> float:
    """Time on a core of all threads of these processes, in % of the time that passed."""
    begin, before = time.monotonic(), _on_cpu_ns(pids)
    time.sleep(seconds)
    return (_on_cpu_ns(pids) - before) / 1e7 / (time.monotonic() - begin)


def _on_cpu_ns(pids: list[int]) -> int:
    paths = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in paths)


def memory_mib(pids: list[int]) -> float:
    """Their proportional set size: shared pages are divided among those who share them."""
    return sum(_pss_bytes(pid) for pid in pids) / MIB


def _pss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def arming(quick: bool) -> list[Row]:
    """`cardan up` of the reference vehicle, from the start of the process to the first armed frame."""
    command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", "--for", "2.5s", "--json"]
    times_s = []
    for _ in range(3 if quick else 2 * ROUNDS):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        times_s.append(json.loads(done.stdout)["armed_after_s"] or 10.0)
    what = f"reference vehicle: `cardan up` to armed, of {len(times_s)}"
    return [
        at_most(f"{what}, median", statistics.median(times_s), 1.5, "s"),
        Row(f"{what}, best", min(times_s), "s", "shown", True),
    ]


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    steps: list[Callable[[Path], list[Row]]] = [
        lambda folder: crashes(folder, arguments.quick),
        lambda folder: hangs(folder, arguments.quick),
        lambda folder: idle(folder, 3.0 if arguments.quick else 20.0),
        lambda _: arming(arguments.quick),
    ]
    with folders() as folder:
        rows = [row for step in steps for row in step(folder)]
    return report("supervise", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
