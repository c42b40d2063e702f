"""A vehicle of light nodes under the real supervisor: one publisher at 100 Hz and nodes that read it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import RunError
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan, write_plan
from cardan.runtime.profile import Profile
from cardan.runtime.run import RunPaths, new_run
from cardan.runtime.supervise.start import start_supervisor
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, SeriesKind, SeriesVitals, Vitals, open_vitals

RATE_HZ = 100.0
TYPES = {"tick": "light_nodes:Tick", "frame": "cardan.runtime.messages:CameraFrame"}
PATIENCE_S = 10.0
POLL_S = 0.0002


def node(name: str, use: str, *, reads: str = "", sends: str = "", **settings: Any) -> NodePlan:
    """A node of light_nodes.py with at most one input and one output, each called as the last part of its topic."""
    values: dict[str, Any] = {"index": 0, "rate_hz": RATE_HZ, **settings}
    inputs = [InputPlan(port=reads.rpartition("/")[2], topics=[reads])] if reads else []
    return NodePlan(
        name=name,
        use=f"light_nodes:{use}",
        sys_path=[str(Path(__file__).resolve().parent)],
        inputs=inputs,
        outputs=[OutputPlan(port=sends, topic=f"{name}/{sends}", type=TYPES[sends])] if sends else [],
        **values,
    )


def plan_of(nodes: list[NodePlan]) -> Plan:
    """A vehicle of these nodes, wired; real-time ones run under SCHED_FIFO where that is allowed."""
    read = [topic for item in nodes for wired in item.inputs for topic in wired.topics]
    placed = [
        replace(item, index=index, outputs=[replace(o, subscribers=read.count(o.topic)) for o in item.outputs])
        for index, item in enumerate(nodes)
    ]
    return Plan(
        name="light",
        manifest=__file__,
        manifest_sha256="",
        profile=Profile(name="bench"),
        envelope={},
        envelope_hash="",
        nodes=placed,
    )


def light_plan(sinks: int, *, realtime: bool = False) -> Plan:
    """`source`, which publishes at 100 Hz, and so many nodes that read it."""
    readers = [node(f"sink{n}", "Sink", reads="source/tick", realtime=realtime) for n in range(sinks)]
    return plan_of([node("source", "Source", sends="tick"), *readers])


class LightRun:
    """One run of a plan, seen through its vitals alone."""

    def __init__(self, plan: Plan, paths: RunPaths) -> None:
        self.plan = plan
        self.paths = paths
        write_plan(plan, paths.plan)
        self.process: subprocess.Popen[bytes] = start_supervisor(paths)
        wait_until(self._has_vitals, "the supervisor's vitals")
        self.vitals: Vitals = open_vitals(paths.vitals, plan)
        wait_until(lambda: self.vitals.run_state is RunState.RUNNING, "all nodes running")

    def _has_vitals(self) -> bool:
        """True once the supervisor has made the page and written its header."""
        try:
            open_vitals(self.paths.vitals, self.plan).close()
        except RunError:
            return False
        return True

    @property
    def supervisor_pid(self) -> int:
        return self.vitals.words[Vitals.SUPERVISOR_PID]

    def word(self, name: str, index: int) -> int:
        return self.vitals.nodes[name].words[index]

    def pid(self, name: str) -> int:
        return self.word(name, NodeVitals.PID)

    def runs(self, name: str) -> bool:
        """True when the node is past its start and has ended a step since it was told to go."""
        vitals = self.vitals.nodes[name]
        stepped = vitals.words[NodeVitals.STEP_END_NS] > vitals.words[NodeVitals.READY_NS]
        return vitals.state in (NodeState.RUNNING, NodeState.LATE) and stepped

    def wait_for_inputs(self) -> None:
        """Until every node has had a message on each of its inputs."""
        for item in self.plan.nodes:
            wait_until(lambda name=item.name: self.has_input(name), f"the first input of {item.name}")  # type: ignore[misc]

    def has_input(self, name: str) -> bool:
        """True when this start of the node has had a message on each of its inputs."""
        vitals = self.vitals.nodes[name]
        inputs = [s for plan, s in zip(vitals.plans, vitals.series, strict=True) if plan.kind is SeriesKind.INPUT]
        return all(s.words[SeriesVitals.LAST_NS] > vitals.words[NodeVitals.STARTED_NS] for s in inputs)

    def after_signal_ms(self, name: str, number: int, back: Callable[[], bool]) -> float:
        """Send a signal to a node; the milliseconds until a successor has started and `back` holds."""
        begin_ns = time.monotonic_ns()
        os.kill(self.pid(name), number)
        wait_until(lambda: self.word(name, NodeVitals.STARTED_NS) > begin_ns and back(), f"the successor of {name}")
        return (time.monotonic_ns() - begin_ns) / 1e6

    def ready_spread_ms(self) -> float:
        """Between the first and the last node to be ready after the start."""
        ready = [self.word(item.name, NodeVitals.READY_NS) for item in self.plan.nodes]
        return (max(ready) - min(ready)) / 1e6

    def stop(self) -> int:
        self.process.terminate()
        exit_code = self.process.wait(PATIENCE_S)
        self.vitals.close()
        return exit_code


def wait_until(what: Callable[[], object], called: str, within_s: float = PATIENCE_S) -> None:
    """Poll for a condition; ends the bench with its name when it does not come."""
    deadline_ns = time.monotonic_ns() + round(within_s * NS_PER_S)
    while not what():
        if time.monotonic_ns() > deadline_ns:
            raise SystemExit(f"waited {within_s:g} s for {called} in vain")
        time.sleep(POLL_S)


@contextmanager
def folders() -> Iterator[Path]:
    """A folder in shared memory for one bench, with every run of it inside; the path is short, as sockets need.

    Compiled modules are kept there too, so that every start but the first is that of installed software.
    """
    with tempfile.TemporaryDirectory(prefix="cb", dir="/dev/shm") as name:
        folder = Path(name)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.update(
            CARDAN_RUN_DIR=str(folder / "r"), CARDAN_DATA_DIR=str(folder / "d"), PYTHONPYCACHEPREFIX=str(folder / "c")
        )
        yield folder


@contextmanager
def running(plan: Plan, folder: Path) -> Iterator[LightRun]:
    """A run of the plan that is stopped in the end."""
    run = LightRun(plan, new_run(folder / "d", "run"))
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.stop()
