"""Wake-up lateness of the node loop beside cyclictest, both cores loaded, interleaved in one run.

    sudo python benches/loop.py            # 15 rounds of 2 s for each loop, 3 minutes
    sudo python benches/loop.py --quick    # within 50 s

Each figure is the median over the rounds of the quantile of one round, so that a moment in which the computer itself
stood still (a virtual machine that lost its processor) counts in one round only. The unprivileged rows have one
core loaded and run on the other, as unprivileged programs that want to be on time have to.

Needs cyclictest (Debian: rt-tests) and, for the SCHED_FIFO rows, the privilege for it.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from rows import Row, exactly, parse_arguments, report

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.node import Node
from cardan.runtime.node.loop import Loop, StopFlag
from cardan.runtime.node.settings import apply_cores, apply_fifo, lock_memory, sharpen_timers
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.testing import Bench
from cardan.runtime.vitals import NodeVitals, create_vitals

CORE = (os.cpu_count() or 1) - 1
PRIORITY = 80
ROUNDS, QUICK_ROUNDS = 15, 7


class Exact(MonotonicClock):
    """The machine's clock, and a note of how late each wake-up was."""

    def __init__(self) -> None:
        self.lateness_ns: list[int] = []
        self.woke_ns: list[int] = []

    def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
        super().sleep_until_ns(deadline_ns, spin=spin)
        self.woke_ns.append(self.now_ns())
        self.lateness_ns.append(self.woke_ns[-1] - deadline_ns)


class Steps(Node):
    """Does nothing a given number of times; one step may stall."""

    left = 0
    stall_at = -1

    def step(self) -> None:
        self.left -= 1
        if self.left == self.stall_at:
            time.sleep(0.3)
        if self.left <= 0:
            self.finish()


def child(rate_hz: float, steps: int, fifo: bool, stall: bool) -> None:
    """Runs in a process of its own: one node loop, its lateness in microseconds as JSON."""
    with tempfile.TemporaryDirectory() as folder, Bench(Steps) as bench:
        clock, node = Exact(), bench.node
        node.left, node.stall_at = steps, steps // 2 if stall else -1
        plan = Plan(
            name="loop",
            manifest="",
            manifest_sha256="",
            profile=Profile(name="loop"),
            envelope={},
            envelope_hash="",
            nodes=[NodePlan(name="n", index=0, use="")],
        )
        vitals = create_vitals(Path(folder) / "v", plan, now_ns=0, wall_ns=0).nodes["n"]
        loop = Loop(
            node, vitals, clock, rate_hz=rate_hz, stepped_by=None, drain=lambda: None,
            wait=lambda _: [], stop=StopFlag(), realtime=True,
        )  # fmt: skip
        gc.collect()
        problems = [apply_cores([CORE])]
        sharpen_timers()
        if fifo:
            problems += [apply_fifo(PRIORITY), lock_memory()]
        loop.run()
        lateness_us = [late / 1000 for late in clock.lateness_ns[1:]]
        burst = [late for early, late in pairwise(clock.woke_ns) if late - early < 0.5e9 / rate_hz]
        print(
            json.dumps(
                {
                    "problems": [p for p in problems if p],
                    "lateness_us": lateness_us,
                    "missed": vitals.words[NodeVitals.MISSED],
                    "bursts": len(burst),
                }
            )
        )


def our_loop(rate_hz: float, seconds: float, *, fifo: bool, stall: bool = False) -> dict[str, list[float]]:
    """One round of the node loop."""
    code = f"import loop; loop.child({rate_hz}, {int(rate_hz * seconds)}, {fifo}, {stall})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, list[float]] = json.loads(done.stdout)
    return result


def cyclictest(rate_hz: float, seconds: float, *, fifo: bool) -> list[float]:
    """One round of cyclictest at the same rate; lateness in microseconds."""
    scheduling = ["-m", "-p", str(PRIORITY)] if fifo else ["--policy=other"]
    command = ["cyclictest", "-q", "-v", "-t1", "-a", str(CORE), "-i", str(int(1e6 / rate_hz)), *scheduling]
    done = subprocess.run([*command, "-l", str(int(rate_hz * seconds))], stdout=subprocess.PIPE, text=True, check=True)
    return [float(late) for late in re.findall(r"^\s*0:\s*\d+:\s*(\d+)", done.stdout, re.MULTILINE)]


@contextmanager
def load(cores: list[int]) -> Iterator[None]:
    """A busy process on each of `cores`."""
    busy = "import os\nos.sched_setaffinity(0, [{}])\nwhile os.getppid() == {}:\n    sum(range(10000))"
    processes = [subprocess.Popen([sys.executable, "-c", busy.format(core, os.getpid())]) for core in cores]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def quantile(values: list[float], fraction: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def in_the_middle(rounds: list[list[float]], fraction: float) -> float:
    """The median over the rounds of the quantile of each."""
    return statistics.median(quantile(values, fraction) for values in rounds)


def compare(rate_hz: float, seconds: float, rounds: int, *, fifo: bool) -> list[Row]:
    """Rows of one rate: ours beside cyclictest, who goes first changes from round to round."""
    ours: list[list[float]] = []
    peer: list[list[float]] = []
    for number in range(rounds):
        if number % 2:
            ours.append(our_loop(rate_hz, seconds, fifo=fifo)["lateness_us"])
        peer.append(cyclictest(rate_hz, seconds, fifo=fifo))
        if not number % 2:
            ours.append(our_loop(rate_hz, seconds, fifo=fifo)["lateness_us"])
    label = f"{rate_hz:g} Hz, {'SCHED_FIFO, both cores loaded' if fifo else 'unprivileged, other core loaded'}"
    bars = [("p99", 0.99, 0.5), ("p99.9", 0.999, 1.0)] if fifo else [("p99", 0.99, 1.0)]
    return [
        ratio_row(f"{label}: lateness {name}", in_the_middle(ours, at), in_the_middle(peer, at), bar)
        for name, at, bar in bars
    ]


def ratio_row(name: str, value: float, peer: float, bar: float) -> Row:
    ratio = value / max(peer, 1.0)
    return Row(
        name, round(value, 1), "us", f"<= {bar:g} x cyclictest", ratio <= bar, "cyclictest", peer, round(ratio, 3)
    )


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    if shutil.which("cyclictest") is None:
        missing = Row("lateness beside cyclictest", None, "cyclictest is not installed (rt-tests)", "measured", False)
        return report("loop", [missing], as_json=arguments.json)
    seconds, rounds = (1.0, QUICK_ROUNDS) if arguments.quick else (2.0, ROUNDS)
    with load(list(range(os.cpu_count() or 1))):
        rows = compare(100.0, seconds, rounds, fifo=True) + compare(1000.0, seconds, rounds, fifo=True)
    with load([0]):
        rows += compare(100.0, seconds, rounds, fifo=False)
    stalled = our_loop(100.0, 1.0, fifo=True, stall=True)
    rows.append(exactly("a 300 ms stall: missed cycles", float(stalled["missed"]), 29, "cycles"))  # type: ignore[arg-type]
    rows.append(exactly("a 300 ms stall: cycles run in a burst", float(stalled["bursts"]), 0, "cycles"))  # type: ignore[arg-type]
    return report("loop", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
