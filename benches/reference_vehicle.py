"""The reference vehicle end to end: arming, driving, losses, and what happens when a process is killed.

python benches/reference_vehicle.py            # 10 minutes of driving, every node killed, the recorded minute
python benches/reference_vehicle.py --quick    # within 50 s
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rows import Row, at_most, exactly, parse_arguments, report

from cardan.runtime.data import find_data
from cardan.runtime.errors import CardanError
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.record.files import recording_paths
from cardan.runtime.record.mcap_file import counts_by_topic
from cardan.runtime.run import RunPaths, current_run
from cardan.runtime.vitals import NodeVitals, SeriesKind, Vitals, open_vitals

RAV4 = Path(__file__).resolve().parent.parent / "examples" / "rav4_minute"
RAV4_FRAMES = 135_468
HALF_LANE_LEFT_M = 0.9
"""Half a 3.5 m lane less half a vehicle of 1.7 m: beyond it a wheel is on the line."""


class Stack:
    """A running vehicle in a folder of its own."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self.paths = self._wait_for_run(folder / "data")
        self.plan: Plan = read_plan(self.paths.plan)
        self.vitals: Vitals = open_vitals(self.paths.vitals, self.plan)

    def _wait_for_run(self, data_dir: Path) -> RunPaths:
        for _ in range(200):
            paths = current_run(data_dir)
            if paths is not None and paths.vitals.exists():
                return paths
            time.sleep(0.05)
        raise SystemExit("the vehicle did not start within 10 s")

    def wait_until_armed(self) -> None:
        """Until the first actuator frames are on the bus."""
        for _ in range(400):
            if published(self.vitals.nodes["bridge"]) > 0:
                return
            time.sleep(0.025)
        raise SystemExit("the vehicle was not armed within 10 s")


def published(node: NodeVitals) -> int:
    """Messages that the node has sent, over all its outputs; steps for a node without outputs."""
    pairs = zip(node.plans, node.series, strict=True)
    counts = [series.words[series.COUNT] for plan, series in pairs if plan.kind is SeriesKind.OUTPUT]
    return sum(counts) if counts else node.words[NodeVitals.STEPS]


@contextmanager
def environment() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder for one run, and the environment that keeps it apart from every other."""
    with tempfile.TemporaryDirectory(prefix="cb", dir="/dev/shm") as name:
        folder = Path(name)
        extra = {"CARDAN_RUN_DIR": str(folder / "runs"), "CARDAN_DATA_DIR": str(folder / "data")}
        os.environ.update(extra)
        yield folder, os.environ | extra


def cardan(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cardan.runtime.cli.main", *arguments]


def summary_of(env: dict[str, str], *arguments: str) -> dict[str, Any]:
    """The JSON summary of one `cardan up`."""
    done = subprocess.run(cardan("up", *arguments, "--json"), env=env, stdout=subprocess.PIPE, text=True, check=False)
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def drive(seconds: float) -> list[Row]:
    """The simulated vehicle on its road, undisturbed."""
    with environment() as (_, env):
        summary = summary_of(env, "--for", f"{seconds:g}s")
    photon, lane = summary["photon_to_can_ms"], summary["lane_error_m"]
    return [
        at_most("first armed control frame after `cardan up`", summary["armed_after_s"], 3.0, "s"),
        at_most(f"photon to CAN, p99 over {seconds:g} s", photon["p99"], 50.0, "ms"),
        exactly(f"messages lost of {summary['published']}", summary["lost"], 0, "messages"),
        at_most(f"largest lane error in {seconds:g} s", lane["max"], HALF_LANE_LEFT_M, "m"),
        exactly("safe stops", summary["safe_stops"], 0, "stops"),
        Row("verdict", None, summary["verdict"], "ok", summary["verdict"] == "ok"),
    ]


def kill_nodes(quick: bool) -> list[Row]:
    """SIGKILL to one node after the other; the time until its successor has sent again."""
    with environment() as (folder, env):
        process = subprocess.Popen(cardan("up", "--json"), env=env, stdout=subprocess.DEVNULL, text=True)
        stack = Stack(process, folder)
        stack.wait_until_armed()
        time.sleep(2)
        names = [node.name for node in stack.plan.nodes]
        rows = [kill_one(stack, name) for name in (["control", "bridge", "engines"] if quick else names)]
        rows.append(kill_supervisor(stack))
        process.wait(timeout=10)
    return rows


def kill_one(stack: Stack, name: str) -> Row:
    """From SIGKILL to the first message of the node's successor."""
    node = stack.vitals.nodes[name]
    starts, sent = node.words[NodeVitals.STARTS], published(node)
    begin = time.monotonic()
    os.kill(node.words[NodeVitals.PID], signal.SIGKILL)
    while time.monotonic() - begin < 5:
        if node.words[NodeVitals.STARTS] > starts and published(node) > sent + 1:
            break
        time.sleep(0.001)
    back_ms = (time.monotonic() - begin) * 1000
    time.sleep(3)
    return at_most(f"kill -9 of {name}: sends again after", back_ms, 1000, "ms")


def kill_supervisor(stack: Stack) -> Row:
    """From SIGKILL of the supervisor until no process and no file of the run is left."""
    pids = [node.words[NodeVitals.PID] for node in stack.vitals.nodes.values()]
    begin = time.monotonic()
    os.kill(stack.vitals.words[Vitals.SUPERVISOR_PID], signal.SIGKILL)
    while time.monotonic() - begin < 10:
        if not stack.paths.run_dir.exists() and not any(Path(f"/proc/{pid}").exists() for pid in pids):
            break
        time.sleep(0.01)
    return at_most("kill -9 of the supervisor: nothing left after", time.monotonic() - begin, 2.0, "s")


def recorded_minute(quick: bool) -> list[Row]:
    """The recorded minute of a real car through the bench bus, in real time."""
    try:
        find_data("rav4_minute", RAV4)
    except CardanError as error:
        return [Row("recorded minute", None, str(error), "measured", False)]
    limit = ["--for", "12s"] if quick else []
    with environment() as (folder, env):
        summary = summary_of(env, str(RAV4), *limit)
        recorded = counts_by_topic(*recording_paths(folder / "data", Path(summary["recording"]).stem))
        plan = read_plan(folder / "data" / "last" / "plan.json")
        vitals = open_vitals(folder / "data" / "last" / "vitals", plan)
        missing = sum(
            abs(recorded.get(entry.topic, 0) - series.words[series.COUNT])
            for node in vitals.nodes.values()
            for entry, series in zip(node.plans, node.series, strict=True)
            if entry.kind is SeriesKind.OUTPUT
        )
    rows = [
        exactly("recorded minute: checksum failures", summary["checksum_failures"], 0, "frames"),
        exactly("recorded minute: messages lost", summary["lost"], 0, "messages"),
        exactly("recorded minute: published and not recorded", missing, 0, "messages"),
    ]
    if not quick:
        rows.append(exactly("recorded minute: frames carried", summary["frames_carried"], RAV4_FRAMES, "frames"))
    return rows


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    rows = drive(12 if arguments.quick else 600) + kill_nodes(arguments.quick) + recorded_minute(arguments.quick)
    return report("reference_vehicle", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
