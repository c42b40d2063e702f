"""The twelve jobs of a field engineer: how long each command takes, live and on a bundle of an hour.

A drive of the reference vehicle, on which control is killed, is asked while it goes on. The bundle of it is
then stretched: its event log is repeated until it covers an hour, so that it has what an hour would leave; the
recording keeps the seconds around faults anyway. The first command on a bundle unpacks it, the others find it
unpacked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from driven import CARDAN, kill_control, wait_until_engaged
from rows import Row, at_most, parse_arguments, report

LIVE_S, BUNDLE_S = 2.0, 5.0
HOUR_S = 3600.0
JOBS = (
    "why disengage",
    "why dropped camera",
    "why late",
    "can health --for 1s",
    "why upload",
    "engine status",
    "why software",
    "doctor --engage",
    "why changed",
    "why slow",
    "why boot",
)
"""Beside `bundle make`, which benches/cli.py measures."""


def main() -> int:
    arguments = parse_arguments("the twelve jobs: time of each command")
    rounds = 3 if arguments.quick else 7
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="jobs") as name:
        folder = Path(name)
        os.environ |= {
            "CARDAN_RUN_DIR": f"{name}/r",
            "CARDAN_DATA_DIR": f"{name}/d",
            "XDG_CACHE_HOME": f"{name}/cache",
        }
        file = folder / "b.cardan.zip"
        rows = live_rows(file, rounds)
        hour = folder / "hour.cardan.zip"
        records = stretch(file, folder / "opened", hour)
        rows += bundle_rows(hour, rounds, records)
    return report("jobs", rows, as_json=arguments.json)


def live_rows(file: Path, rounds: int) -> list[Row]:
    """Each job while the vehicle drives; a bundle is made at the end."""
    run_up = [*CARDAN, "up", "--for", "300s"]
    with subprocess.Popen(run_up, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as drive:
        try:
            wait_until_engaged()
            time.sleep(2.0)
            kill_control()
            time.sleep(3.0)
            rows = [at_most(f"live: cardan {words}", median_s([*words.split()], rounds), LIVE_S, "s") for words in JOBS]
            subprocess.run([*CARDAN, "bundle", "make", "--hurry", "--out", str(file)], check=False, capture_output=True)
        finally:
            drive.send_signal(signal.SIGINT)
            drive.wait(60.0)
    return rows


def median_s(words: list[str], rounds: int) -> float | None:
    """Of the wall time of a command; None when it cannot answer."""
    times = []
    for _ in range(rounds):
        began_s = time.monotonic()
        done = subprocess.run([*CARDAN, *words], capture_output=True, check=False, timeout=60.0)
        times.append(time.monotonic() - began_s)
        if done.returncode not in (0, 1, 4):
            return None
    return statistics.median(times)


def stretch(file: Path, opened: Path, target: Path) -> int:
    """A bundle whose event log covers an hour: what it has, again and again, earlier and earlier. Its records."""
    with zipfile.ZipFile(file) as archive:
        archive.extractall(opened)
    run = json.loads((opened / "bundle.json").read_text())["run"]
    total = 0
    for path in (opened / "logs" / run).glob("*.log"):
        records = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
        span_s = max(10.0, records[-1]["wall_s"] - records[0]["wall_s"]) if records else HOUR_S
        lines = []
        for turn in range(int(HOUR_S / span_s), -1, -1):
            for record in records:
                earlier_s = turn * span_s
                t_ns = max(0, record["t_ns"] - round(earlier_s * 1e9))
                lines.append(json.dumps({**record, "t_ns": t_ns, "wall_s": record["wall_s"] - earlier_s}))
        path.write_text("\n".join(lines) + "\n")
        total += len(lines)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(opened.rglob("*")):
            if path.is_file():
                archive.write(path, str(path.relative_to(opened)))
    return total


def bundle_rows(file: Path, rounds: int, records: int) -> list[Row]:
    """Each job on the bundle; the first one also unpacks it."""
    words = [*JOBS[0].split(), "--bundle", str(file)]
    first = []
    for _ in range(rounds):
        shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]), ignore_errors=True)
        began_s = time.monotonic()
        subprocess.run([*CARDAN, *words], capture_output=True, check=False, timeout=60.0)
        first.append(time.monotonic() - began_s)
    size = f"{file.stat().st_size / 1e6:.0f} MB, {records} records"
    rows = [at_most(f"bundle of an hour ({size}), first command", statistics.median(first), BUNDLE_S, "s")]
    for job in JOBS:
        asked = job.replace(" --for 1s", "")
        value = median_s([*asked.split(), "--bundle", str(file)], rounds)
        rows.append(at_most(f"bundle of an hour: cardan {asked}", value, BUNDLE_S, "s"))
    return rows


if __name__ == "__main__":
    sys.exit(main())
