"""The control loop while everything is recorded and uploaded, and while the disk is full: later than without?

    sudo python benches/recorder_loop.py            # about 4 minutes
    sudo python benches/recorder_loop.py --quick    # within a minute

A loop of 1 kHz, real-time, beside four sensors and a camera of 200 MB/s, with a core of its own: the one that the
computer's devices interrupt least, and that the kernel's workers leave alone, as a vehicle computer has it. In turns,
each in a run of its own: without a recorder; with recorder, outbox and uplink at work; with the same and a disk that is
full (a file system of 24 MB in memory). A figure is the median over the runs of the p99.9 of each, so a moment in which
the computer itself stood still (a virtual machine that lost its processor) counts in one run only. Needs root.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from loop import quantile
from recorder_vehicle import RAW, Folder, driving, extra_nodes, manifest, wait_for
from rows import Row, parse_arguments, report

RATE_HZ = 1000
FULL_DISK = "24m"
RUNS, QUICK_RUNS = 9, 3
SECONDS, QUICK_SECONDS = 4.0, 2.0
BAR = 1.05
WORKERS = Path("/sys/devices/virtual/workqueue/cpumask")
BIN_NS, EARLY_NS = 10_000, 50_000

PROFILE = """schema = 1
name = "two-cores"
[cores]
control = [{control}]
perception = [{rest}]
background = [{rest}]
[realtime]
scheduler = "fifo-if-allowed"
"""
BEAT = """
[nodes.beat]
use = "recorder_nodes:Beat"
core = "control"
realtime = true
rate_hz = {rate_hz}
step_budget_ms = 0.3
config = {{ file = "{file}" }}
"""
AT_WORK = """
[nodes.recorder]
use = "recorder"
core = "background"
inputs = { everything = ["*"] }
[nodes.outbox]
use = "outbox"
core = "background"
inputs = { topics = ["sensor0/reading", "sensor1/reading", "sensor2/reading", "sensor3/reading"] }
config = { default_rate_hz = 0, limits = { trend = { segment_bytes = 65536, seal_s = 1.0 } } }
[nodes.uplink]
use = "uplink"
core = "background"
config = { consent = true }
[privacy]
consent = ["operation"]
default_purpose = "operation"
"""


class Mode(NamedTuple):
    """One way to run the vehicle."""

    name: str
    manifest: str
    disk: Callable[[Path], AbstractContextManager[Path]]
    """Makes the data folder."""
    uploads: bool = False
    """Whether objects must be at the store in the end."""


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A folder on a file system that is full within a second."""
    place = folder / "full"
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL_DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


ALONE = Mode("without", "", lambda folder: nullcontext(folder / "data"))
RECORDING = Mode(
    "while 200 MB/s are recorded and telemetry is uploaded",
    AT_WORK + RAW,
    lambda folder: nullcontext(folder / "data"),
    uploads=True,
)
FULL = Mode("while the disk is full", AT_WORK + RAW, full_disk)


def quiet_core(interrupts: str, cores: int) -> int:
    """The core with the fewest interrupts of devices, the last of them; interrupts: /proc/interrupts."""
    totals = [0] * cores
    for line in interrupts.splitlines():
        counts = re.match(r"\s*\d+:((?:\s+\d+)+)", line)
        for core, count in enumerate(counts[1].split() if counts else []):
            totals[core] += int(count)
    return min(reversed(range(cores)), key=totals.__getitem__)


@contextmanager
def kernel_workers_off(core: int, cores: int) -> Iterator[None]:
    """While this lasts the kernel's own workers, which bring pages to the disk, leave this core alone (`isolcpus`)."""
    others = ((1 << cores) - 1) & ~(1 << core)
    before = WORKERS.read_text()
    WORKERS.write_text(f"{others:x}" if others else before)
    try:
        yield
    finally:
        WORKERS.write_text(before)


def lateness_us(mode: Mode, head: str, file: Path, runs: Path, seconds: float) -> list[float]:
    """How late each step of the loop was, in one run."""
    with tempfile.TemporaryDirectory(dir=file.parent) as name, mode.disk(Path(name)) as data:
        path = manifest(Path(name), head + mode.manifest)
        with driving(path, Folder(runs, data)) as run:
            wait_for(lambda: run.steps("wide") > 5, "pictures")
            first = run.steps("beat")
            wait_for(lambda: run.steps("beat") > first + seconds * RATE_HZ, "steps of the loop", seconds + 30)
            last = run.steps("beat")
            run.stop()
        if mode.uploads and not any((data / "store").rglob("*.jsonl.*")):
            raise SystemExit("nothing was uploaded")
    return late_us(np.array(json.loads(file.read_text())[first:last]))


def late_us(stamps_ns: np.ndarray) -> list[float]:
    """How long after it was due each step came, but the first. It is due one period after the last one, on the grid.

    The grid is found in the stamps: most steps come within microseconds after they are due.
    """
    period_ns = 10**9 // RATE_HZ
    usual_ns = int(np.bincount(stamps_ns % period_ns // BIN_NS).argmax()) * BIN_NS
    slots = (stamps_ns - usual_ns + EARLY_NS) // period_ns
    late_ns = stamps_ns[1:] - ((slots[:-1] + 1) * period_ns + usual_ns)
    late_ns[late_ns < -EARLY_NS] += period_ns  # the one before it came in the period of this one
    return (late_ns / 1e3).tolist()  # type: ignore[no-any-return]


def control_loop(folder: Path, runs: Path, count: int, seconds: float) -> list[Row]:
    file, profile = folder / "beat.json", folder / "two_cores.toml"
    cores = os.cpu_count() or 1
    control = quiet_core(Path("/proc/interrupts").read_text(), cores)
    rest = ", ".join(str(core) for core in range(cores) if core != control or cores == 1)
    profile.write_text(PROFILE.format(control=control, rest=rest))
    head = f'schema = 1\nname = "loop"\nprofile = "{profile}"\n'
    head += BEAT.format(file=file, rate_hz=RATE_HZ) + extra_nodes(4)
    modes = [ALONE, RECORDING, FULL]
    late: dict[str, list[float]] = {mode.name: [] for mode in modes}
    turns = [mode for number in range(count) for mode in modes[number % 3 :] + modes[: number % 3]]
    with kernel_workers_off(control, cores):
        for mode in turns:
            values = lateness_us(mode, head, file, runs, seconds)
            late[mode.name].append(quantile(values, 0.999))
            print(f"{mode.name}: {late[mode.name][-1]:.1f} us", file=sys.stderr)
    return [_row(mode.name, late[mode.name], late[ALONE.name]) for mode in (RECORDING, FULL)]


def _row(name: str, values: list[float], others: list[float]) -> Row:
    value, other = statistics.median(values), statistics.median(others)
    title = f"loop at {RATE_HZ} Hz: lateness p99.9 {name}, median of {len(values)} runs in turns"
    ratio = value / other
    return Row(title, value, "us", f"<= {BAR:g} x", ratio <= BAR, "without", other, ratio)


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    count, seconds = (QUICK_RUNS, QUICK_SECONDS) if arguments.quick else (RUNS, SECONDS)
    if os.geteuid():
        rows = [Row("control loop beside a full disk", None, "needs root", "measured", False)]
    else:
        with tempfile.TemporaryDirectory(prefix="cr", dir="/dev/shm") as short, tempfile.TemporaryDirectory() as name:
            rows = control_loop(Path(name), Path(short), count, seconds)
    return report("recorder_loop", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
