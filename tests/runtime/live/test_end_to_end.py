"""A whole run at a real broker: what is asked over MQTT is judged, done once and answered, what happens is heard."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cardan.runtime.clock import NS_PER_S, MonotonicClock
from cardan.runtime.downlink.documents import read_document
from cardan.runtime.downlink.written import signed_document
from cardan.runtime.signing import new_key

if TYPE_CHECKING:
    from tests.runtime.live.conftest import Authority, Cloud, Wire

pytestmark = pytest.mark.slow
Until = Callable[[Callable[[], object], Callable[[], object]], None]
NODES = '''
from cardan.runtime.bus.ports import Output
from cardan.runtime.messages import BridgeVerdict, VehicleState
from cardan.runtime.node import Node


class Car(Node):
    """A car that stands."""

    rate_hz = 20.0
    state = Output(VehicleState)
    verdict = Output(BridgeVerdict)

    def step(self) -> None:
        numbers = dict.fromkeys(
            ("stamp_ns", "speed_mps", "steering_rad", "steering_wheel_rad", "yaw_rate_radps", "accel_mps2",
             "frames_decoded", "checksum_failures", "counter_failures"), 0)
        flags = dict.fromkeys(("brake_pressed", "gas_pressed", "engage_requested", "cancel_requested"), False)
        self.state.send(VehicleState(wheel_speed_mps=(0.0, 0.0, 0.0, 0.0), **numbers, **flags))
        self.verdict.send(BridgeVerdict(cycle=0, engagement="disabled", armed=False, accepted=False, reason="",
                                        cause="", steering_rad=0.0, accel_mps2=0.0))


class Idle(Node):
    """Does nothing."""

    rate_hz = 5.0

    def step(self) -> None:
        pass
'''
MANIFEST = """
schema = 1
name = "stands"

[nodes.car]
use = "car_nodes:Car"

[nodes.idle]
use = "car_nodes:Idle"

[nodes.outbox]
use = "outbox"
inputs = {{ topics = ["car/state"] }}
config = {{ vehicle_id = "car-7" }}

[nodes.live]
use = "live"
inputs = {{ topics = ["car/verdict"] }}
config.broker = "mqtts://127.0.0.1:{port}"
config.ca = "{folder}/authority.pem"
config.certificate = "{folder}/car-7.pem"
config.key = "{folder}/car-7.key"
config.first_wait_s = 0.05
config.longest_wait_s = 0.2

[nodes.downlink]
use = "downlink"
inputs = {{ topics = ["car/state", "car/verdict"] }}
config = {{ keys = "keys" }}

[privacy]
consent = ["operation", "improvement"]
default_purpose = "operation"
"""


class Run:
    """`cardan up` in a process of its own, and the key of those who may ask."""

    def __init__(self, folder: Path, authority: Authority, port: int, runs: Path) -> None:
        authority.make("car-7")
        (folder / "car_nodes.py").write_text(NODES)
        (folder / "vehicle.toml").write_text(MANIFEST.format(port=port, folder=authority.folder))
        (folder / "keys").mkdir()
        new_key("ops", folder / "keys")[0].rename(folder / "ops.key")
        self._folder = folder
        self.data_dir = folder / "data"
        environment = {**os.environ, "CARDAN_RUN_DIR": str(runs), "CARDAN_DATA_DIR": str(self.data_dir)}
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", str(folder), "--for", "120s"]
        self.log = (folder / "up.log").open("wb")
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)

    def signed(self, **fields: Any) -> bytes:
        now_s = MonotonicClock().wall_ns() // NS_PER_S
        times = {"command": {"deadline_s": now_s + 300}, "campaign": {"expires_s": now_s + 3600}}[fields["kind"]]
        document = read_document(msgspec.json.encode({"vehicles": ["car-7"], "issued_s": now_s, **times, **fields}))
        return signed_document(document, self._folder / "ops.key")

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()


@pytest.fixture
def run(tmp_path: Path, authority: Authority, wire: Wire) -> Iterator[Run]:
    runs = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="live-"))  # the name of a socket has at most 107 bytes
    (tmp_path / "vehicle").mkdir()
    run = Run(tmp_path / "vehicle", authority, wire.port, runs)
    try:
        yield run
    finally:
        run.close()
        shutil.rmtree(runs, ignore_errors=True)


def results(cloud: Cloud) -> dict[str, str]:
    return {item["message"]["name"]: item["message"]["state"] for item in cloud.of("vehicles/car-7/result")}


def test_commands_and_campaigns_reach_a_vehicle_and_their_answers_the_cloud(
    run: Run, cloud: Cloud, wire: Wire, until: Until
) -> None:
    until(lambda: cloud.of("vehicles/car-7/state"), cloud.listen)
    assert cloud.of("vehicles/car-7/state")[0]["topics"]["car/verdict"]["message"]["engagement"] == "disabled"
    ping = run.signed(kind="command", id="p-1", verb="ping")
    cloud.ask("vehicles/car-7/command", ping)
    cloud.ask("vehicles/car-7/command", ping.replace(b"p-1", b"p-2"))
    until(lambda: len(results(cloud)) == 2, cloud.listen)
    assert sorted(results(cloud).values()) == ["done", "refused"]
    collect = [{"topics": ["car/state"], "rate_hz": 5.0}]
    campaign = {"name": "all", "version": 1, "purpose": "improvement", "max_bytes": 4000, "collect": collect}
    cloud.ask("vehicles/car-7/campaign", run.signed(kind="campaign", **campaign))
    until(lambda: len(cloud.of("vehicles/car-7/event/event")) >= 3, cloud.listen)
    assert cloud.of("vehicles/car-7/event/event")[0]["campaign"] == "all@1"
    wire.cut()
    restart = run.signed(kind="command", id="r-1", verb="restart-node", arguments={"node": "idle"})
    cloud.ask("vehicles/car-7/command", restart)
    cloud.ask("vehicles/car-7/command", ping)
    until(lambda: "r-1" in results(cloud), cloud.listen)
    assert results(cloud)["r-1"] in ("done", "refused"), "a vehicle counts as parked after five seconds"
    until(lambda: results(cloud).get("all@1") == "ended", cloud.listen)
    seqs = [item["seq"] for item in cloud.of("vehicles/car-7/event/event")]
    assert set(seqs) == set(range(1, 10)), "no event is missing"
    names = [item["message"]["name"] for item in cloud.of("vehicles/car-7/result")]
    ids = {item["id"] for item in cloud.of("vehicles/car-7/result") if item["message"]["name"] == "p-1"}
    assert "p-1" in names and len(ids) == 1, "a command that comes again is not answered again"
    assert wire.cuts > 0
    run.process.send_signal(signal.SIGKILL)
    until(lambda: not cloud.of("vehicles/car-7/status")[-1]["online"], cloud.listen)
