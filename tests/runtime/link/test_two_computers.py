"""Two runs in two network namespaces, a lossy cable between them: what a second computer in the vehicle would see."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from cardan.runtime.errors import RunError
from cardan.runtime.link.keys import KeyFolder
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import SeriesKind, SeriesVitals, Vitals, open_vitals

HERE = Path(__file__).parent
PATIENCE_S = 20.0
BOX = """schema = 1
name = "lidar-box"

[nodes.lidar]
use = "parts:Lidar"

[nodes.show]
use = "bus-gateway"
config.bind = "tcp://10.231.0.1:7447"
config.key = "box"
config.topics = ["lidar/*"]
"""
CAR = """schema = 1
name = "car"

[nodes.box]
use = "bus-link"
config.address = "tcp://10.231.0.1:7447"
config.key = "car"
config.server_key = "box"
config.topics.pose = { topic = "lidar/pose", type = "parts:Pose" }
config.topics.frame = { topic = "lidar/frame", type = "CameraFrame" }

[nodes.reader]
use = "parts:Reader"
inputs.pose = "box/pose"
inputs.frames = "box/frame"
"""


def can_make_namespaces() -> bool:
    """Root, iproute2, and a kernel with namespaces and TUN."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        return False
    name = f"probe{secrets.token_hex(3)}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_make_namespaces(), reason="needs root, `ip netns` and /dev/net/tun"),
]


class Cable:
    """Two namespaces with one address each, and the program between them."""

    def __init__(self) -> None:
        mark = secrets.token_hex(3)
        self.ends = [f"cd{mark}a", f"cd{mark}b"]
        for end in self.ends:
            _ip("netns", "add", end)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "lossy_wire.py"), *self.ends],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._read() == "ready"
        for at, end in enumerate(self.ends):
            _ip("-n", end, "addr", "add", f"10.231.0.{at + 1}/24", "dev", "wire")
            _ip("-n", end, "link", "set", "wire", "mtu", "1400", "up")
            _ip("-n", end, "link", "set", "lo", "up")

    def tell(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        assert self._read() == f"done {order.split(maxsplit=1)[0]}"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        for end in self.ends:
            _ip("netns", "del", end)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Computer:
    """One run in one namespace, seen through its vitals and the command line."""

    def __init__(self, folder: Path, namespace: str, manifest: str) -> None:
        self.folder = folder
        self._prefix = ["ip", "netns", "exec", namespace]
        folder.mkdir()
        (folder / "vehicle.toml").write_text(manifest)
        (folder / "parts.py").symlink_to(HERE / "two" / "parts.py")
        self.keys = KeyFolder(folder / "d" / "keys")
        self.environment = {**os.environ, "CARDAN_RUN_DIR": str(folder / "r"), "CARDAN_DATA_DIR": str(folder / "d")}
        self._up: subprocess.Popen[bytes] | None = None

    def cardan(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self._prefix, sys.executable, "-m", "cardan.runtime.cli.main", *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)

    def start(self) -> None:
        command = [*self._prefix, sys.executable, "-m", "cardan.runtime.cli.main", "up", str(self.folder), "--json"]
        self._up = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @contextmanager
    def vitals(self) -> Iterator[tuple[Plan, Vitals]]:
        """The page of the run; RunError while there is none."""
        paths = RunPaths((self.folder / "r" / "current").resolve(), self.folder / "d")
        plan = read_plan(paths.plan)
        page = open_vitals(paths.vitals, plan)
        try:
            yield plan, page
        finally:
            page.close()

    def condition(self, node: str) -> str | None:
        """Its code; None while the run has not begun."""
        try:
            with self.vitals() as (_, page):
                found = page.nodes[node].condition
                return found[1] if found else ""
        except RunError:
            return None

    def link_state(self) -> dict[str, Any]:
        done = self.cardan("topic", "echo", "box/link", "--count", "1", "--for", "10s", "--json")
        return dict(json.loads(done.stdout.splitlines()[0])["value"]) if done.stdout else {}

    def metrics(self) -> dict[str, tuple[int, float]]:
        """node.metric -> how often, and the sum."""
        with self.vitals() as (plan, page):
            return {
                f"{node.name}.{series.name}": (words.words[SeriesVitals.COUNT], words.words[SeriesVitals.SUM] / 1e6)
                for node in plan.nodes
                for series, words in zip(page.nodes[node.name].plans, page.nodes[node.name].series, strict=True)
                if series.kind is SeriesKind.METRIC
            }

    def log(self, node: str) -> str:
        return "".join(path.read_text() for path in (self.folder / "d" / "logs").glob(f"*/{node}.log"))

    def stop(self) -> None:
        if self._up is not None:
            self._up.terminate()
            self._up.wait(20)


UNUSABLE_STEPS = 500
"""5 s at 100 Hz: longer than the gateway keeps a silent client. After a shorter cut TCP brings what it has kept."""


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what} in vain"
        time.sleep(0.02)


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.close()


@pytest.fixture
def computers(cable: Cable) -> Iterator[tuple[Computer, Computer]]:
    with tempfile.TemporaryDirectory(prefix="ct", dir="/dev/shm") as folder:
        box = Computer(Path(folder) / "box", cable.ends[0], BOX)
        car = Computer(Path(folder) / "car", cable.ends[1], CAR)
        car.keys.trust("box", box.keys.create("box", zmq.curve_keypair).public)
        car.keys.create("car", zmq.curve_keypair)
        yield box, car
        car.stop()
        box.stop()


def test_a_link_lives_through_strangers_delay_loss_and_a_cut_cable(
    cable: Cable, computers: tuple[Computer, Computer]
) -> None:
    box, car = computers
    assert car.cardan("check", str(car.folder)).returncode == 0
    cable.tell("delay 0.02")
    box.start()
    car.start()

    until(lambda: car.condition("box") == "link-refused", "the refusal of a key that is not trusted")
    assert "does not trust our key" in car.log("box")
    until(lambda: "refused: 10.231.0.2 has the unknown key" in box.log("show"), "what the box says of it")

    assert box.cardan("keys", "trust", "car", car.keys.own()["car"].decode()).returncode == 0
    until(lambda: car.metrics()["reader.usable"][0] > 200, "poses over the link")
    metrics = car.metrics()
    count, total_s = metrics["reader.age_s"]
    assert 0.02 <= total_s / count < 0.5, "as old as the cable is slow, and no younger"
    assert metrics["reader.stamp_age_s"][1] / metrics["reader.stamp_age_s"][0] >= 0.02
    state = car.link_state()
    assert state["up"] and state["peer"] == "lidar-box"
    assert state["uncertainty_ns"] >= 20_000_000, "half of a round trip of 40 ms at best"
    assert abs(state["offset_ns"]) <= state["uncertainty_ns"], "both clocks are one here"

    cable.tell("loss 0.05")
    steps = car.metrics()["reader.usable"][0]
    until(lambda: car.metrics()["reader.usable"][0] > steps + 300, "poses over a bad cable")

    cable.tell("cut")
    until(lambda: car.condition("box") == "link-lost", "the loss of the link")
    unusable = car.metrics()["reader.unusable"][0]
    until(
        lambda: car.metrics()["reader.unusable"][0] > unusable + UNUSABLE_STEPS,
        "poses that are not valid, until the other side has given the connection up, too",
    )
    assert "link-lost" in car.cardan("status").stdout
    assert not car.link_state()["up"]

    cable.tell("loss 0")
    cable.tell("join")
    until(lambda: car.condition("box") == "", "the return of the link")
    metrics = car.metrics()
    until(lambda: car.metrics()["reader.usable"][0] > metrics["reader.usable"][0] + 100, "poses again")
    metrics = car.metrics()
    assert metrics["box.outage_s"][0] >= 1
    assert metrics["box.lost"][1] >= 50, "what was sent meanwhile is missing, and counted"
    assert metrics["reader.right_frames"][0] > 5
    assert metrics["reader.wrong_frames"][0] == 0

    assert box.cardan("keys", "revoke", "car").returncode == 0
    until(lambda: car.condition("box") == "link-refused", "the refusal of a revoked key")
