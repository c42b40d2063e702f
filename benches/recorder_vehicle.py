"""A vehicle beside which the recorder is measured: its manifest, and a run of it that is watched through its vitals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cardan.runtime.manifest import find_manifest
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.run import RunPaths, current_run
from cardan.runtime.vitals import NodeVitals, Vitals, open_vitals

HERE = Path(__file__).resolve().parent
SENSORS, CAMERA_HZ = 8, 36.0
"""224 MB of pictures a second: the disk is to be asked for more than the 200 that it is held to."""


class Folder(NamedTuple):
    """Where one run keeps its files."""

    runs: Path
    data: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"CARDAN_RUN_DIR": str(self.runs), "CARDAN_DATA_DIR": str(self.data)}


def extra_nodes(sensors: int, camera_hz: float = 33.0) -> str:
    """Manifest of the sensors and the camera that stand beside whatever else there is; 33 pictures are 205 MB."""
    parts = [f'\n[nodes.sensor{n}]\nuse = "recorder_nodes:Sensor"\ncore = "background"\n' for n in range(sensors)]
    wide = f'\n[nodes.wide]\nuse = "recorder_nodes:WideCamera"\ncore = "perception"\nrate_hz = {camera_hz:g}\n'
    return "".join(parts) + wide


RAW = '\n[nodes.recorder.config.topics]\n"wide/frame" = { frames = "raw" }\n'


def reference(folder: Path) -> Path:
    """Manifest of the reference vehicle and what stands beside it, with the classes that it needs."""
    text = find_manifest(None).read_text()
    text = re.sub(r"(\[nodes\.recorder\]\n(?:[^\[\n].*\n)+)", rf"\1{RAW}\n", text)
    return manifest(folder, text + extra_nodes(SENSORS, CAMERA_HZ))


def manifest(folder: Path, text: str) -> Path:
    path = folder / "vehicle.toml"
    path.write_text(text)
    shutil.copy(HERE / "recorder_nodes.py", folder)
    return path


class Running:
    """A vehicle that drives, seen through its vitals."""

    def __init__(self, path: Path, folder: Folder) -> None:
        os.environ.update(folder.environment)
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", str(path), "--json"]
        self.process = subprocess.Popen(command, env=folder.environment, stdout=subprocess.PIPE, text=True)
        try:
            self.paths = wait_for(lambda: _with_vitals(current_run(folder.data)), "a run")
            self.plan: Plan = read_plan(self.paths.plan)
            self.vitals: Vitals = open_vitals(self.paths.vitals, self.plan)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the run whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()

    def steps(self, name: str) -> int:
        return self.vitals.nodes[name].words[NodeVitals.STEPS]

    def pid(self, name: str) -> int:
        return self.vitals.nodes[name].words[NodeVitals.PID]

    def stop(self) -> dict[str, Any]:
        """End the run; its summary."""
        self.process.send_signal(signal.SIGINT)
        stdout, _ = self.process.communicate(timeout=30)
        summary: dict[str, Any] = json.loads(stdout)
        return summary


def _with_vitals(paths: RunPaths | None) -> RunPaths | None:
    return paths if paths is not None and paths.vitals.exists() else None


def wait_for(what: Callable[[], Any], called: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:g} s for {called} in vain")
        time.sleep(0.01)
    return found


@contextmanager
def driving(path: Path, folder: Folder) -> Iterator[Running]:
    run = Running(path, folder)
    try:
        yield run
    finally:
        run.end()


def cpu_s(pid: int) -> float:
    """Processor time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
