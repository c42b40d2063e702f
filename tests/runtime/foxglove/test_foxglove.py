"""The reference vehicle as Foxglove's protocol shows it to a client of its own; and the layout that is shipped."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

foxglove = pytest.importorskip("foxglove", reason="needs foxglove-sdk: pip install 'cardan[foxglove]'")
client = pytest.importorskip("websockets.sync.client", reason="needs websockets: pip install websockets")

from cardan.runtime.cli.foxglove import layout_text  # noqa: E402 - after the libraries it needs
from cardan.runtime.cli.main import main  # noqa: E402
from cardan.runtime.foxglove.node import FoxgloveConfig, FoxgloveLive  # noqa: E402
from cardan.runtime.foxglove.scene import FRAME, scene_of  # noqa: E402
from cardan.runtime.foxglove.settings import FoxgloveSettings  # noqa: E402
from cardan.runtime.messages import RoadView  # noqa: E402
from cardan.runtime.testing import Bench  # noqa: E402

WITHIN_S = 40.0
PROTOCOL = "foxglove.sdk.v1"
CARDAN = [sys.executable, "-m", "cardan.runtime.cli.main"]


class Viewer:
    """A client that knows as much of the protocol as it takes to look."""

    def __init__(self, address: str) -> None:
        self._closing = ExitStack()
        connecting = client.connect(address, subprotocols=[PROTOCOL], open_timeout=WITHIN_S, max_size=None)
        self._socket = self._closing.enter_context(connecting)
        self.server: dict[str, Any] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self._messages: list[tuple[int, bytes]] = []

    def wait_for_channels(self) -> None:
        while "/scene" not in self.channels or not self.server:
            self._receive()

    def subscribe(self, *topics: str) -> None:
        wanted = [{"id": number, "channelId": self.channels[topic]["id"]} for number, topic in enumerate(topics)]
        self._socket.send(json.dumps({"op": "subscribe", "subscriptions": wanted}))

    def next_of(self, number: int) -> bytes:
        """The payload of the next message of a subscription."""
        deadline_s = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline_s:
            for index, (subscription, payload) in enumerate(self._messages):
                if subscription == number:
                    del self._messages[index]
                    return payload
            self._receive()
        raise AssertionError("no such message came")

    def _receive(self) -> None:
        data = self._socket.recv(timeout=WITHIN_S)
        if isinstance(data, str):
            said = json.loads(data)
            if said["op"] == "serverInfo":
                self.server = said
            elif said["op"] == "advertise":
                self.channels |= {channel["topic"]: channel for channel in said["channels"]}
        elif data[0] == 1:  # message data: subscription, time, payload
            subscription, _ = struct.unpack_from("<IQ", data, 1)
            self._messages.append((subscription, data[13:]))

    def close(self) -> None:
        self._closing.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `cardan foxglove` serves the reference vehicle, which drives."""
    folder = tmp_path_factory.mktemp("foxglove")
    runs = f"/dev/shm/foxglove-{os.getpid()}"
    environment = {**os.environ, "CARDAN_RUN_DIR": runs, "CARDAN_DATA_DIR": str(folder / "data")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*CARDAN, "up", "--for", "120s"], env=environment, **quiet) as vehicle:  # type: ignore[call-overload]  # of Popen
        try:
            _wait_until_engaged(environment)
            command = [*CARDAN, "foxglove", "--port", "0"]
            with subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE) as server:
                assert server.stdout is not None
                yield server.stdout.readline().strip()
                server.send_signal(signal.SIGINT)
                assert server.wait(WITHIN_S) == 0
        finally:
            vehicle.send_signal(signal.SIGINT)
            vehicle.wait(WITHIN_S)


def _wait_until_engaged(environment: dict[str, str]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    ask = [*CARDAN, "control", "state", "--json"]
    while b'"enabled"' not in subprocess.run(ask, env=environment, capture_output=True, check=False).stdout:
        assert time.monotonic() < deadline_s


@pytest.fixture
def viewer(address: str) -> Iterator[Viewer]:
    with closing(Viewer(address)) as viewer:
        viewer.wait_for_channels()
        yield viewer


@pytest.mark.slow
def test_everything_is_offered_and_nothing_can_be_sent(viewer: Viewer) -> None:
    schemas = {topic: channel["schemaName"] for topic, channel in viewer.channels.items()}
    assert schemas["/camera/frame"] == "foxglove.CompressedImage"
    assert schemas["/camera/frame/seen"] == "foxglove.ImageAnnotations"
    assert schemas["/scene"] == "foxglove.SceneUpdate"
    assert schemas["/log"] == "foxglove.Log"
    assert viewer.channels["/control/command"]["encoding"] == "json"
    assert viewer.server["capabilities"] == []
    assert viewer.server["name"].startswith("cardan reference")


@pytest.mark.slow
def test_the_camera_the_scene_and_topics_arrive(viewer: Viewer) -> None:
    from PIL import Image

    viewer.subscribe("/camera/frame", "/scene", "/control/command", "/camera/frame/seen")
    picture = viewer.next_of(0)
    start = picture.index(b"\xff\xd8\xff")
    assert Image.open(io.BytesIO(picture[start:])).size == (640, 360)
    scene = viewer.next_of(1)
    assert b"own" in scene and b"lane" in scene and FRAME.encode() in scene
    command = json.loads(viewer.next_of(2))
    assert -1 < command["steering_rad"] < 1 and command["cycle"] > 0
    assert len(viewer.next_of(3)) > 100, "lines in the picture"


@pytest.mark.slow
def test_the_log_arrives_as_it_is_written(viewer: Viewer, address: str) -> None:
    viewer.subscribe("/log", "/bridge/verdict")
    assert json.loads(viewer.next_of(1))["engagement"] == "enabled"
    os.kill(_pid_of(Path(f"/dev/shm/foxglove-{os.getpid()}"), "recorder"), signal.SIGKILL)
    assert b"recorder" in viewer.next_of(0)


def _pid_of(runs: Path, name: str) -> int:
    from cardan.runtime.plan import read_plan
    from cardan.runtime.vitals import NodeVitals, open_vitals

    folder = (runs / "current").resolve()
    vitals = open_vitals(folder / "vitals", read_plan(folder / "plan.json"))
    pid = int(vitals.nodes[name].words[NodeVitals.PID])
    vitals.close()
    return pid


def test_places_are_in_metres_of_the_vehicle_frame() -> None:
    view = RoadView(
        status="ok", frame_id=1, x_m=(5.0, 10.0), left_y_m=(1.75, 1.8), right_y_m=(-1.75, -1.7), lane_probability=0.9,
        lead_probability=0.9, lead_gap_m=30.0, lead_y_m=0.25,
    )  # fmt: skip
    encoded = scene_of(view, 1_700_000_000_000_000_000, 3.6).encode()
    for number in (1.75, -1.7, 10.0, 3.6 + 30.0 + 2.25, 0.25):
        assert struct.pack("<d", number) in encoded
    unsure = RoadView(status="ok", frame_id=1, lane_probability=0.1, lead_probability=0.1, lead_gap_m=30.0)
    assert b"lane" not in scene_of(unsure, 0, 3.6).encode()
    assert b"lead" not in scene_of(unsure, 0, 3.6).encode()


def test_a_node_serves_its_own_run() -> None:
    with Bench(FoxgloveLive, config=FoxgloveConfig(foxglove=FoxgloveSettings(port=0))) as bench:
        assert bench.node._stream is not None
        with closing(Viewer(bench.node._stream.address)) as viewer:
            viewer.wait_for_channels()
            assert viewer.server["name"] == f"cardan {bench.plan.name} on {bench.plan.profile.name}"
            bench.step()


def _panels(part: Any) -> list[str]:
    return [part] if isinstance(part, str) else [*_panels(part["first"]), *_panels(part["second"])]


def test_the_layout_names_panels_and_topics_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["foxglove", "--layout"]) == 0
    printed = capsys.readouterr().out
    assert printed == layout_text()
    layout = json.loads(printed)
    assert sorted(_panels(layout["layout"])) == sorted(layout["configById"])
    values = [path["value"] for config in layout["configById"].values() for path in config.get("paths", [])]
    from cardan.runtime.graph import load_plan

    topics = load_plan().topics()
    assert len(values) >= 8
    for value in values:
        topic, _, field = value.removeprefix("/").partition(".")
        module, _, name = topics[topic].type.partition(":")
        message = getattr(__import__(module, fromlist=[name]), name)
        assert field in message.__struct_fields__, value


def test_a_port_that_is_taken_and_a_run_that_is_not_there_are_clear_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    assert main(["foxglove"]) == 3
    assert "no run is active" in capsys.readouterr().err
    assert main(["foxglove", "--port", "high"]) == 2
