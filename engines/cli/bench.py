"""`cardan engine bench`: how long a model runs here, back to back and at its own rate."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from cardan.engines.backends.backend import Session
from cardan.engines.cli.common import open_cache, print_json, read_models
from cardan.engines.cuda.probe import probe_gpu
from cardan.engines.frames import random_frames
from cardan.engines.model import ModelFile
from cardan.engines.opening import Opened, open_model
from cardan.runtime.cli import units
from cardan.runtime.cli.durations import parse_duration_s
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.clock import Clock, MonotonicClock, ns

WARM_UP_RUNS = 3
MOST_RUNS = 1_000_000


@dataclass(frozen=True)
class Times:
    """Of one series of runs."""

    what: str
    runs: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when the 99th percentile at the model's rate exceeds its deadline."""
    duration_s = parse_duration_s(arguments.duration, "--for")
    clock = MonotonicClock()
    file = read_models([arguments.model])[0]
    if arguments.backend:
        only = msgspec.structs.replace(file.model, backends=(arguments.backend,), fallback=())
        file = ModelFile(only, file.path)
    before_kb = _memory_kb()
    opened = open_model(file, open_cache(arguments.data_dir, clock), probe_gpu(), clock)
    session = opened.session
    for name, frames in random_frames(opened.file.model.inputs, count=1).items():
        session.inputs[name][...] = frames[0]
    for _ in range(WARM_UP_RUNS):
        session.run()
    memory_mib = (_memory_kb() - before_kb) / 1024.0
    series = [
        measure(session, clock, "back to back", duration_s, 0),
        measure(session, clock, f"at {opened.file.model.rate_hz:g} Hz", duration_s, opened.file.model.period_ns),
    ]
    session.close()
    if arguments.json:
        print_json(
            {
                "schema_version": 1,
                "model": opened.file.model.name,
                "backend": opened.backend,
                "loaded": opened.loaded_sha256,
                "memory_mib": round(memory_mib, 1),
                "series": [asdict(one) for one in series],
            }
        )
    else:
        write_lines(_lines(opened, series, memory_mib), sys.stdout)
    return int(Exit.HEALTHY if series[-1].p99_ms <= opened.file.model.deadline_ms else Exit.FINDING)


def measure(session: Session, clock: Clock, what: str, duration_s: float, period_ns: int) -> Times:
    """Run for a while, every `period_ns` (0: without a pause)."""
    spent_ns: list[int] = []
    begin_ns = clock.now_ns()
    due_ns, until_ns = begin_ns, begin_ns + ns(duration_s)
    while due_ns < until_ns and len(spent_ns) < MOST_RUNS:
        if period_ns:
            clock.sleep_until_ns(due_ns)
        start_ns = clock.now_ns()
        session.run()
        end_ns = clock.now_ns()
        spent_ns.append(end_ns - start_ns)
        due_ns = due_ns + period_ns if period_ns else end_ns
    spent_ns.sort()
    return Times(
        what,
        len(spent_ns),
        *(round(spent_ns[min(len(spent_ns) - 1, int(share * len(spent_ns)))] / 1e6, 4) for share in (0.5, 0.99, 1.0)),
    )


def _lines(opened: Opened, series: list[Times], memory_mib: float) -> list[Line]:
    title = f"{opened.file.model.name} {opened.file.short_hash} on {opened.backend}, {memory_mib:.0f} MiB more memory"
    return [
        Line(safe_text(title), "title"),
        *(Line(safe_text(f"  not {reason}"), "warning") for reason in opened.reasons),
        *(
            Line(
                f"  {one.what:<14}p50 {units.ms(one.p50_ms)}, p99 {units.ms(one.p99_ms)}, max {units.ms(one.worst_ms)}"
                f"  ({units.count(one.runs)} runs)"
            )
            for one in series
        ),
    ]


def _memory_kb(status: Path = Path("/proc/self/status")) -> int:
    """Resident memory of this process."""
    for line in status.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
