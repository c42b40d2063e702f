"""A recording of a live run, with all its real clocks and a killed node, comes out bit for bit."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cardan.runtime.manifest import find_manifest
from cardan.runtime.plan import read_plan
from cardan.runtime.record.files import recording_paths
from cardan.runtime.replay.play import replay
from cardan.runtime.vitals import NodeVitals, SeriesKind, open_vitals

pytest.importorskip("onnxruntime", reason="the reference vehicle needs cardan[ort]")
pytest.importorskip("vehiclemodels", reason="the reference vehicle needs cardan[sim]")
pytest.importorskip("can", reason="the reference vehicle needs cardan[can]")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
PATIENCE_S = 40.0
NODES = ["control", "state", "camera", "engines"]
SELDOM = "camera/calibration"
FEWEST = 30
RAW = '\n[nodes.recorder.config.topics]\n"camera/frame" = { frames = "raw" }\n'


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def kill_the_controller_once(run: Path) -> None:
    """After a hundred commands; its successor sends two hundred more, while every other node says something too."""
    wait_for(lambda: (run / "vitals").exists())
    nodes = open_vitals(run / "vitals", read_plan(run / "plan.json")).nodes
    wait_for(lambda: sent_by(nodes["control"]) > 100)
    os.kill(nodes["control"].words[NodeVitals.PID], signal.SIGKILL)
    wait_for(lambda: sent_by(nodes["control"]) > 300 and min(sent_by(nodes[name]) for name in NODES) > 2 * FEWEST)


def sent_by(node: NodeVitals) -> int:
    """Messages of the output that has sent least, of those that send all the time."""
    outputs = [each for each in zip(node.plans, node.series, strict=True) if each[0].kind == SeriesKind.OUTPUT]
    return min(series.words[series.COUNT] for plan, series in outputs if plan.topic != SELDOM)


@pytest.fixture(scope="module")
def recording() -> Iterator[list[Path]]:
    """Some seconds of the reference vehicle with raw pictures; its controller is killed once and comes back."""
    with tempfile.TemporaryDirectory(prefix="cr", dir="/dev/shm") as name:
        folder = Path(name)
        manifest = folder / "vehicle.toml"
        text = find_manifest(None).read_text()
        manifest.write_text(re.sub(r"(\[nodes\.recorder\]\n(?:[^\[].*\n)+)", rf"\1{RAW}\n", text))
        environment = os.environ | {"CARDAN_RUN_DIR": str(folder / "r"), "CARDAN_DATA_DIR": str(folder / "d")}
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", str(manifest), "--json"]
        process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            kill_the_controller_once(folder / "r" / "current")
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.communicate()
        assert "Traceback" not in stderr
        yield recording_paths(folder / "d", Path(json.loads(stdout)["recording"]).stem)


@pytest.mark.parametrize(
    "names",
    [*([name] for name in NODES), NODES],
    ids=lambda names: "-".join(names),
)
def test_a_live_recording_is_replayed_bit_for_bit(names: list[str], recording: list[Path], tmp_path: Path) -> None:
    outcome = replay(recording, names, tmp_path)
    assert outcome.trouble == "" and outcome.by_steps
    for comparison in outcome.comparisons:
        assert comparison.is_same, comparison.first
        assert comparison.recorded >= (1 if comparison.topic == SELDOM else FEWEST)


def test_the_killed_node_was_opened_again_in_the_replay(recording: list[Path], tmp_path: Path) -> None:
    outcome = replay(recording, ["control"], tmp_path)
    epochs = {sample.epoch for sample in outcome.outputs["control/command"]}
    assert min(epochs) == 1 and len(epochs) > 1, "two, and more where a busy computer let it hang"
    sent_ns = [sample.sent_ns for sample in outcome.outputs["control/command"]]
    assert sent_ns == sorted(sent_ns) and len({sent % 1000 for sent in sent_ns}) > 50, "stamps of a real clock"
