"""Real supervisors with small plans, in run folders with short paths (a socket's path has 107 bytes)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.plan import NodePlan, Plan, write_plan
from cardan.runtime.profile import Profile
from cardan.runtime.run import RunPaths, new_run
from cardan.runtime.supervise.start import start_supervisor
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, Vitals, open_vitals

NODES_FOLDER = str(Path(__file__).parent)
PATIENCE_S = 10.0


def node(use: str, name: str = "", **settings: Any) -> NodePlan:
    """A node of nodes.py at 100 Hz."""
    values: dict[str, Any] = {"rate_hz": 100.0, "index": 0, **settings}
    return NodePlan(name=name or use.lower(), use=f"nodes:{use}", sys_path=[NODES_FOLDER], **values)


def make_plan(*nodes: NodePlan, stop_when: str | None = None) -> Plan:
    """A plan of these nodes on a computer without real-time scheduling."""
    return Plan(
        name="test",
        manifest=f"{NODES_FOLDER}/vehicle.toml",
        manifest_sha256="",
        profile=Profile(name="test"),
        envelope={},
        envelope_hash="",
        nodes=list(nodes),
        stop_when=stop_when,
    )


def wait_until(what: Callable[[], object], within_s: float = PATIENCE_S) -> float:
    """Wait for a condition; the seconds it took."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > within_s:
            raise AssertionError(f"waited {within_s} s in vain")
        time.sleep(0.002)
    return time.monotonic() - start


def processes_of(paths: RunPaths) -> list[int]:
    """Every process that has the run's folder or data folder in its environment or command line."""
    found = []
    marks = [str(paths.run_dir.parent).encode()]
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            text = (entry / "environ").read_bytes()
            zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if not zombie and any(mark in text for mark in marks):
            found.append(int(entry.name))
    return found


def describe(pid: int) -> str:
    try:
        return f"{pid} {Path(f'/proc/{pid}/stat').read_text()[:60]} {Path(f'/proc/{pid}/cmdline').read_text()}"
    except OSError:
        return f"{pid}, gone by now"


class LiveRun:
    """One supervised run of a test."""

    def __init__(self, plan: Plan, paths: RunPaths) -> None:
        self.plan = plan
        self.paths = paths
        write_plan(plan, paths.plan)
        self.process = start_supervisor(paths)
        wait_until(self._has_vitals)
        self.vitals: Vitals = open_vitals(paths.vitals, plan)

    def _has_vitals(self) -> bool:
        try:
            open_vitals(self.paths.vitals, self.plan).close()
        except Exception:
            assert self.process.poll() is None, self.errors()
            return False
        return True

    @property
    def supervisor_pid(self) -> int:
        return self.vitals.words[Vitals.SUPERVISOR_PID]

    def errors(self) -> str:
        return (self.paths.logs / "supervisor.err").read_text()

    def events(self, code: str, name: str | None = None) -> list[dict[str, Any]]:
        lines = (self.paths.logs / "supervisor.log").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [event for event in events if event["code"] == code and name in (None, event["node"])]

    def word(self, name: str, index: int) -> int:
        return self.vitals.nodes[name].words[index]

    def pid(self, name: str) -> int:
        return self.word(name, NodeVitals.PID)

    def state(self, name: str) -> NodeState:
        return self.vitals.nodes[name].state

    def wait_running(self, within_s: float = PATIENCE_S) -> None:
        wait_until(lambda: self.vitals.run_state is RunState.RUNNING, within_s)

    def wait_state(self, name: str, state: NodeState, within_s: float = PATIENCE_S) -> float:
        return wait_until(lambda: self.state(name) is state, within_s)

    def wait_steps(self, name: str) -> None:
        """Until the node has ended a step from now on."""
        before = self.word(name, NodeVitals.STEPS)
        wait_until(lambda: self.word(name, NodeVitals.STEPS) > before)

    def stop(self, within_s: float = PATIENCE_S) -> int:
        self.process.terminate()
        return self.wait_end(within_s)

    def wait_end(self, within_s: float = PATIENCE_S) -> int:
        return self.process.wait(within_s)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.kill(self.supervisor_pid, signal.SIGKILL)
                self.process.wait(PATIENCE_S)
        self.vitals.close()


def start_with(starter: Path, changes: str) -> Callable[[RunPaths], list[str]]:
    """Commands that start a supervisor with `changes` made to its code first; `starter` is written for that."""
    lines = ["import sys", "from cardan.runtime.supervise import guardian, heartbeat", changes]
    lines += ["from cardan.runtime.supervise.__main__ import main", "sys.exit(main(sys.argv[1:]))"]
    starter.write_text("\n".join(lines))
    return lambda paths: [sys.executable, str(starter), str(paths.run_dir), str(paths.data_dir)]


class Up:
    """Starts runs: `up(up.node("Idle"), ...)`."""

    node = staticmethod(node)
    wait_until = staticmethod(wait_until)
    processes_of = staticmethod(processes_of)
    start_with = staticmethod(start_with)

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.runs: list[LiveRun] = []

    def __call__(self, *nodes: NodePlan, stop_when: str | None = None) -> LiveRun:
        numbered = [msgspec.structs.replace(item, index=index) for index, item in enumerate(nodes)]
        self.runs.append(LiveRun(make_plan(*numbered, stop_when=stop_when), new_run(self._data_dir, "test")))
        return self.runs[-1]


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Up]:
    """Starts runs, and checks at the end that they left nothing behind."""
    runs_folder = Path(tempfile.mkdtemp(prefix="ct", dir="/dev/shm"))
    monkeypatch.setenv("CARDAN_RUN_DIR", str(runs_folder))
    starter = Up(tmp_path)
    yield starter
    for run in starter.runs:
        run.close()
        left = processes_of(run.paths)
        assert not left, f"left behind: {[describe(pid) for pid in left]}"
        assert run.errors() == ""
    assert sorted(path.name for path in runs_folder.iterdir()) == []
    shutil.rmtree(runs_folder)
