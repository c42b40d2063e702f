"""What the tools of a field engineer cost: how soon commands answer, what watching takes, how soon a page shows it.

    python benches/cli.py             # about 20 minutes, most of which the vehicle drives for the bundle
    python benches/cli.py --running   # the same beside a `cardan up` that drives already, which is ended: 9 minutes
    python benches/cli.py --quick     # within 50 s

The reference vehicle drives meanwhile, as it does when somebody looks: commands and the page compete with it. Bare
Python is started by turns with the commands. What a browser needs by itself is taken by turns too: an empty page.
"""

from __future__ import annotations

import argparse
import os
import pty
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli_bundle import bundle_rows
from cli_page import browser_rows, viewer_rows
from cli_usage import Used, children_used, used_by
from driven import CARDAN, wait_until_engaged
from rows import Row, at_most, report

from cardan.runtime.cli.runs import find_run
from cardan.runtime.vitals import Vitals

WITHIN_S = 40.0
STARTS = {"--help": 60.0, "status": 150.0, "topic list": 150.0}
"""Commands and how long they may take, in ms."""
HUNG = """
import os
from cardan.runtime.doctor.check import Check, passed

def hang(subject):
    os.mkfifo(os.environ["DEVICE"])
    os.open(os.environ["DEVICE"], os.O_RDONLY)
    return passed("never")

CHECKS = tuple(Check(f"hung.device-{n}", "does it answer?", hang, limit_s=60.0) for n in range(3))
"""


def rows(quick: bool, *, running: bool, age_s: float) -> list[Row]:
    """All rows: while the reference vehicle drives, and when it has ended."""
    rounds = 5 if quick else 21
    with folders(own=not running) as folder:
        with ended() if running else driving():
            driven = [
                *start_rows(rounds, driving=True),
                *top_rows(4.0 if quick else 20.0),
                *viewer_rows(4.0 if quick else 20.0),
                *browser_rows(3 if quick else 10),
                *doctor_rows(folder),
                *(bundle_rows(str(folder), 0.0, 1) if quick else bundle_rows(str(folder), age_s, 20)),
            ]
        return [*start_rows(rounds, driving=False), *driven]


@contextmanager
def folders(*, own: bool) -> Iterator[Path]:
    """A folder for what is made here; own: also run and data folders in it, by the environment."""
    with tempfile.TemporaryDirectory(prefix="cli", dir="/dev/shm") as name:
        if own:
            os.environ |= {"CARDAN_RUN_DIR": f"{name}/r", "CARDAN_DATA_DIR": f"{name}/d"}
        yield Path(name)


@contextmanager
def ended() -> Iterator[None]:
    """The vehicle that drives already; it is ended afterwards."""
    found = find_run(None, must_live=True)
    yield
    os.kill(found.vitals.words[Vitals.SUPERVISOR_PID], signal.SIGTERM)
    ends_s = time.monotonic() + WITHIN_S
    while find_run(None).live and time.monotonic() < ends_s:
        time.sleep(0.2)


@contextmanager
def driving() -> Iterator[None]:
    """The reference vehicle, engaged."""
    command = [*CARDAN, "up", "--for", "1200s", "--json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as vehicle:
        try:
            wait_until_engaged()
            yield
        finally:
            vehicle.send_signal(signal.SIGINT)
            vehicle.wait(WITHIN_S)


def start_rows(rounds: int, *, driving: bool) -> list[Row]:
    """From starting a command to its end, medians, by turns with a Python that does nothing.

    The bars are for a computer that does nothing else; what it takes beside a vehicle that drives is shown.
    """
    commands = {"bare": [sys.executable, "-c", "pass"], **{name: [*CARDAN, *name.split()] for name in STARTS}}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            began_s = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            taken[name].append((time.perf_counter() - began_s) * 1e3)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return [_beside_python(name, medians[name], bar, medians["bare"], driving) for name, bar in STARTS.items()]


def _beside_python(name: str, value: float, bar: float, bare: float, driving: bool) -> Row:
    if driving:
        return Row(
            f"cardan {name}, while the vehicle drives", value, "ms", "shown", True, "bare Python", bare, value / bare
        )
    return Row(f"cardan {name}", value, "ms", f"<= {bar:g}", value <= bar, "bare Python", bare, value / bare)


def top_rows(seconds: float) -> list[Row]:
    """Processor time of `cardan top` on a terminal, once it has drawn for the first time."""
    parent, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"}
    with subprocess.Popen([*CARDAN, "top"], stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as top:
        os.close(terminal)
        os.read(parent, 65536)
        time.sleep(1.0)
        share = used_by(top.pid, seconds, drain=parent)
        top.send_signal(signal.SIGINT)
        top.wait(WITHIN_S)
    os.close(parent)
    return [at_most("cardan top, every second", share.percent, 2.0, "% of a core")]


def doctor_rows(folder: Path) -> list[Row]:
    """All checks as they are, and with three more that hang for a minute."""
    site = folder / "site"
    info = site / "hung-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hung\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cardan.checks]\nhung = hung_checks:CHECKS\n")
    (site / "hung_checks.py").write_text(HUNG)
    plain = children_used([*CARDAN, "doctor"], os.environ)
    hung = children_used([*CARDAN, "doctor"], {**os.environ, "PYTHONPATH": str(site), "DEVICE": str(folder / "device")})
    return [_doctor("cardan doctor", plain), _doctor("cardan doctor, three devices hang", hung)]


def _doctor(name: str, used: Used) -> Row:
    return at_most(name, used.wall_s, 10.0, "s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="end within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--running", action="store_true", help="beside the vehicle that drives already; it is ended")
    parser.add_argument("--age", type=float, default=600.0, metavar="S", help="of the drive that a bundle is made of")
    arguments = parser.parse_args()
    measured = rows(arguments.quick, running=arguments.running, age_s=arguments.age)
    sys.exit(report("cli", measured, as_json=arguments.json))
