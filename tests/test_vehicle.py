"""The whole vehicle, as a person runs it: `cardan up`, then something breaks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.data import find_data
from cardan.runtime.errors import CardanError
from cardan.runtime.manifest import find_manifest
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.record.files import recording_paths
from cardan.runtime.record.mcap_file import counts_by_topic
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import NodeVitals, SeriesKind, Vitals, open_vitals

pytest.importorskip("onnxruntime", reason="the reference vehicle needs cardan[ort]")
pytest.importorskip("vehiclemodels", reason="the reference vehicle needs cardan[sim]")
pytest.importorskip("can", reason="the reference vehicle needs cardan[can]")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PATIENCE_S = 40.0
KEYS = {
    "schema_version", "verdict", "duration_s", "armed_after_s", "nodes", "photon_to_can_ms", "published", "lost",
    "safe_stops", "lane_error_m", "recording", "synced", "frames_carried", "checksum_failures",
}  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Folder:
    """Run and data folders of one test; short, since the name of a socket has at most 107 bytes."""

    def __init__(self, path: Path) -> None:
        self.runs, self.data = path / "r", path / "d"
        self.environment = os.environ | {"CARDAN_RUN_DIR": str(self.runs), "CARDAN_DATA_DIR": str(self.data)}

    def up(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", *arguments, "--json"]
        return subprocess.Popen(
            command, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The summary of a run that ends by itself."""
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in stderr
    summary: dict[str, Any] = json.loads(stdout)
    return summary


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


class Attached:
    """A running vehicle, seen through its vitals."""

    def __init__(self, folder: Folder) -> None:
        wait_for(lambda: (folder.runs / "current" / "vitals").exists())
        self.paths = RunPaths((folder.runs / "current").resolve(), folder.data)
        self.plan: Plan = read_plan(self.paths.plan)
        self.vitals: Vitals = open_vitals(self.paths.vitals, self.plan)

    def sent(self, node: str, port: str) -> int:
        series = self.vitals.nodes[node].find(SeriesKind.OUTPUT, port)
        assert series is not None
        return series.words[series.COUNT]

    def word(self, node: str, index: int) -> int:
        return self.vitals.nodes[node].words[index]


@pytest.fixture
def folder() -> Iterator[Folder]:
    with tempfile.TemporaryDirectory(prefix="cv", dir="/dev/shm") as name:
        yield Folder(Path(name))


def published(paths: RunPaths) -> dict[str, int]:
    """Messages by topic, from the vitals that the run left."""
    plan = read_plan(paths.last / "plan.json")
    vitals = open_vitals(paths.last / "vitals", plan)
    return {
        entry.topic: series.words[series.COUNT]
        for node in vitals.nodes.values()
        for entry, series in zip(node.plans, node.series, strict=True)
        if entry.kind is SeriesKind.OUTPUT and series.words[series.COUNT]
    }


def recorded(folder: Folder, summary: dict[str, Any]) -> dict[str, int]:
    counts = counts_by_topic(*recording_paths(folder.data, Path(summary["recording"]).stem))
    return {topic: count for topic, count in counts.items() if not topic.endswith("/_step")}


def test_the_reference_vehicle_drives_and_says_so(folder: Folder) -> None:
    summary = finish(folder.up("--for", "5s"))
    assert set(summary) == KEYS
    assert summary["verdict"] == "ok"
    assert summary["armed_after_s"] is not None
    assert summary["lost"] == summary["safe_stops"] == summary["checksum_failures"] == 0
    assert summary["lane_error_m"]["max"] < 0.5
    assert summary["photon_to_can_ms"]["p50"] > 0
    assert all(node["starts"] == 1 for node in summary["nodes"].values())
    assert summary["synced"]["delivered"] == summary["synced"]["produced"] > 0
    assert recorded(folder, summary) == published(RunPaths(Path(), folder.data))
    assert list(folder.runs.iterdir()) == []


def test_the_same_vehicle_drives_over_zeromq(folder: Folder, tmp_path: Path) -> None:
    manifest = tmp_path / "vehicle.toml"
    manifest.write_text('bus = "zmq"\n' + find_manifest(None).read_text())
    summary = finish(folder.up(str(manifest), "--for", "4s"))
    assert summary["verdict"] == "ok"
    assert summary["safe_stops"] == 0
    assert summary["published"] > 100
    missing = Counter(published(RunPaths(Path(), folder.data))) - Counter(recorded(folder, summary))
    assert missing.total() <= summary["lost"], "what a reader missed before it had subscribed is counted"


def test_a_killed_controller_is_back_and_the_vehicle_drives_on(folder: Folder) -> None:
    process = folder.up("--for", "6s")
    vehicle = Attached(folder)
    wait_for(lambda: vehicle.sent("bridge", "sent") > 50)
    before = vehicle.sent("control", "command")
    os.kill(vehicle.word("control", NodeVitals.PID), signal.SIGKILL)
    wait_for(
        lambda: vehicle.word("control", NodeVitals.STARTS) == 2 and vehicle.sent("control", "command") > before + 5
    )
    after = vehicle.sent("bridge", "sent")
    wait_for(lambda: vehicle.sent("bridge", "sent") > after + 20)
    summary = finish(process)
    assert summary["nodes"]["control"]["starts"] == 2
    assert summary["safe_stops"] == 0
    assert summary["lane_error_m"]["max"] < 0.9


def test_a_killed_supervisor_leaves_nothing_behind(folder: Folder) -> None:
    process = folder.up()
    vehicle = Attached(folder)
    wait_for(lambda: vehicle.sent("bridge", "sent") > 0)
    pids = [node.words[NodeVitals.PID] for node in vehicle.vitals.nodes.values()]
    os.kill(vehicle.vitals.words[Vitals.SUPERVISOR_PID], signal.SIGKILL)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    wait_for(lambda: list(folder.runs.iterdir()) == [])
    summary = finish(process)
    assert summary["verdict"] != "ok"


def test_the_recorded_minute_is_carried_decoded_and_recorded(folder: Folder) -> None:
    try:
        find_data("rav4_minute", EXAMPLES / "rav4_minute")
    except CardanError as error:
        pytest.skip(str(error))
    summary = finish(folder.up(str(EXAMPLES / "rav4_minute"), "--for", "5s"))
    assert summary["verdict"] == "ok"
    assert summary["frames_carried"] > 2 * 2258
    assert summary["lost"] == summary["checksum_failures"] == 0
    assert recorded(folder, summary) == published(RunPaths(Path(), folder.data))


def test_a_node_of_ones_own_runs_from_its_folder(folder: Folder) -> None:
    summary = finish(folder.up(str(EXAMPLES / "own_node"), "--for", "2s"))
    assert summary["verdict"] == "ok"
    assert summary["nodes"]["load"]["steps"] > 0
