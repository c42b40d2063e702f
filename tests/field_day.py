"""A day in the field: a vehicle that worked, then one with every fault of the twelve jobs, asked live and as a bundle.

Used by tests/test_twelve_jobs.py, and by docs/make_field_guide.py for the output that the guide shows.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cardan.drivers.can.bus import open_channel
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.manifest import find_manifest
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import NodeState, NodeVitals, open_vitals

PATIENCE_S = 30.0
SLOW_NODE = '''
import time
from cardan.runtime.node import Node

class Slow(Node):
    """Takes its time to open, as a device may."""

    rate_hz = 1.0

    def open(self) -> None:
        time.sleep(3.0)

    def step(self) -> None:
        pass
'''
COMMAND_ID = 0x120
"""STEERING_COMMAND of the reference vehicle: only the bridge may send it."""


class Job(NamedTuple):
    """One question of a field engineer, and the one command that answers it."""

    question: str
    words: str
    bundled: str | None = None
    """The same of a bundle, where it is asked in another way; empty: it cannot be asked there."""

    @property
    def words_on_bundle(self) -> str:
        return self.words if self.bundled is None else self.bundled


JOBS = (
    Job("Why did it disengage at {at}?", "why disengage --at {at}"),
    Job("Is the camera dropping frames, and where?", "why dropped camera"),
    Job("Which process is late, and why?", "why late"),
    Job("Is CAN healthy?", "can health --for 1s", bundled="can health"),
    Job("Collect a bundle.", "bundle make --hurry --out {bundle}", bundled=""),
    Job("Is it the disk or the link that data did not upload?", "why upload"),
    Job("Which models run, in which precision?", "engine status"),
    Job("Is the right software everywhere?", "why software"),
    Job("Is it ready to engage, and if not, why?", "doctor --engage"),
    Job("What changed since it last worked?", "why changed"),
    Job("Is it hot, throttled, or out of memory?", "why slow"),
    Job("Why did it take so long to boot?", "why boot"),
)


class Said(NamedTuple):
    """What a command said, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float


class Day:
    """Folders, manifest and environment of the day. `close()` removes what lies in shared memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.bundle = folder / "day.cardan.zip"
        self.kernel_files = folder / "kernel"
        self._runs = Path("/dev/shm") / f"day-{os.getpid()}"  # short: the name of a socket has at most 107 bytes
        self.environment = os.environ | {
            "CARDAN_RUN_DIR": str(self._runs),
            "CARDAN_DATA_DIR": str(self.data),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "NO_COLOR": "1",
        }
        self.manifest = folder / "vehicle.toml"
        self._write_manifest(faulty=False)
        self.heat(60)
        self.disengaged_at = ""

    # ------------------------------------------------------------------------------------------------------ preparing

    def _write_manifest(self, *, faulty: bool) -> None:
        text = Path(find_manifest(None)).read_text()
        text = text.replace('use = "machine"', f'use = "machine"\nconfig = {{ root = "{self.kernel_files}" }}')
        if faulty:
            (self.folder / "parts.py").write_text(SLOW_NODE)
            text = text.replace("rate_per_s = 10.0", "rate_per_s = 9.0")
            text += '\n[nodes.slow]\nuse = "parts:Slow"\nstep_budget_ms = 1.0\n'
        self.manifest.write_text(text)

    def heat(self, temp_c: int) -> None:
        """What the kernel says of the temperature from now on."""
        zone = self.kernel_files / "sys" / "class" / "thermal" / "thermal_zone0"
        zone.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("type", "cpu-thermal"),
            ("trip_point_0_type", "critical"),
            ("trip_point_0_temp", "105000"),
            ("temp", f"{temp_c * 1000}"),
        ):
            new = zone / f".{name}"
            new.write_text(text + "\n")
            new.replace(zone / name)

    # --------------------------------------------------------------------------------------------------------- asking

    def ask(self, words: str, *more: str) -> Said:
        """Run one command in a process of its own, as a person does."""
        filled = words.format(at=self.disengaged_at, bundle=self.bundle)
        command = [sys.executable, "-m", "cardan.runtime.cli.main", *filled.split(), *more]
        began_s = time.monotonic()
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, env=self.environment, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr, time.monotonic() - began_s)

    def document(self, words: str, *more: str) -> dict[str, Any]:
        """The same as JSON."""
        found: dict[str, Any] = json.loads(self.ask(words, "--json", *more).out)
        return found

    # -------------------------------------------------------------------------------------------------------- driving

    @contextmanager
    def driving(self) -> Iterator[Drive]:
        """A drive from its engagement on; ends in order."""
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", str(self.manifest), "--for", "120s", "--json"]
        with subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield Drive(self, self._paths())
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(PATIENCE_S)

    def _paths(self) -> RunPaths:
        link = self._runs / "current"
        wait_until(lambda: (link / "vitals").exists() and (link / "plan.json").exists(), "the run did not start")
        return RunPaths(link.resolve(), self.data)

    def work(self) -> None:
        """A drive on which all is well."""
        with self.driving() as drive:
            drive.wait_until_engaged(1)

    @contextmanager
    def going_wrong(self) -> Iterator[Drive]:
        """A drive with other limits, a slow node and a store that cannot be; then camera, control, heat and CAN fail.

        It goes on, with the fault latched, while it is asked.
        """
        self._write_manifest(faulty=True)
        shutil.rmtree(self.data / "store", ignore_errors=True)
        (self.data / "store").write_text("this should be a folder\n")
        with self.driving() as drive:
            drive.wait_until_engaged(1)
            drive.stop_for("camera", 0.4)
            self.heat(104)
            drive.wait_until_engaged(drive.engaged)
            engaged = drive.engaged
            drive.kill_again("control")
            wait_until(lambda: len(drive.crashes("control")) == 2, "nobody noticed that control died")
            self.disengaged_at = drive.crashes("control")[-1]
            drive.wait_until_engaged(engaged + 1)
            self.manifest.write_text(self.manifest.read_text() + "# somebody was here\n")
            drive.send_as_bridge()
            wait_until(lambda: drive.turns()[-1]["after"] == "fault-latched", "the bridge did not latch the fault")
            wait_until(lambda: drive.is_hot, "nobody noticed the heat")
            yield drive

    def close(self) -> None:
        shutil.rmtree(self._runs, ignore_errors=True)


class Drive:
    """A run that goes on, and what may be done to it."""

    def __init__(self, day: Day, paths: RunPaths) -> None:
        self._day = day
        self.paths = paths
        self.plan: Plan = read_plan(paths.plan)
        self._vitals = open_vitals(paths.vitals, self.plan)

    def pid(self, node: str) -> int:
        return self._vitals.nodes[node].words[NodeVitals.PID]

    def turns(self) -> list[dict[str, Any]]:
        """Every change of engagement so far."""
        return [record for record in self._records("bridge") if record["code"] == "engagement"]

    @property
    def engaged(self) -> int:
        """How often control has taken over."""
        return sum(turn["after"] == "enabled" for turn in self.turns())

    def crashes(self, node: str) -> list[str]:
        """When (UTC) the supervisor saw a node die, each time."""
        found = [r["wall_s"] for r in self._records("supervisor") if (r["code"], r["node"]) == ("node-crash", node)]
        return [time.strftime("%H:%M:%S", time.gmtime(wall_s)) + f"{wall_s % 1:.3f}"[1:] for wall_s in found]

    @property
    def is_hot(self) -> bool:
        return any(record["code"] == "machine-hot" for record in self._records("machine"))

    def _records(self, writer: str) -> list[dict[str, Any]]:
        path = self.paths.logs / f"{writer}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_until_engaged(self, times: int) -> None:
        """Until control has taken over so many times, and has driven for half a second since."""
        wait_until(
            lambda: self.engaged >= times and self.turns()[-1]["after"] == "enabled",
            lambda: f"it has not engaged {times} times: {[turn['text'] for turn in self.turns()]}",
        )
        time.sleep(0.5)

    def stop_for(self, node: str, seconds: float) -> None:
        pid = self.pid(node)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)

    def kill_again(self, node: str) -> None:
        """Kill it, and once more when it is back.

        A node is back after a hundredth of a second, often before the bridge has missed it; before its second start the
        supervisor waits for longer than the bridge does.
        """
        vitals = self._vitals.nodes[node]
        starts = vitals.words[NodeVitals.STARTS]
        os.kill(self.pid(node), signal.SIGKILL)
        wait_until(
            lambda: vitals.words[NodeVitals.STARTS] > starts and vitals.state is NodeState.RUNNING,
            f"{node} did not come back",
        )
        os.kill(self.pid(node), signal.SIGKILL)

    def send_as_bridge(self) -> None:
        """Somebody else sends what only the bridge may send."""
        channel = open_channel(self.plan.profile.can["vehicle"], MonotonicClock())
        try:
            channel.send(COMMAND_ID, bytes(8))
        finally:
            channel.close()


def wait_until(happens: Callable[[], bool], otherwise: str | Callable[[], str]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not happens():
        if time.monotonic() > deadline_s:
            raise TimeoutError(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.05)
