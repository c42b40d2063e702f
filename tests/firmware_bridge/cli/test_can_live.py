"""`cardan can` beside a running vehicle: a replayed bus, a receiver, a decoder and a recorder; then of its last run."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cardan.drivers.can.candump import LoggedFrame, read_candump, write_candump
from cardan.firmware_bridge.cli import can_target
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.cli.main import main
from cardan.runtime.cli.screen import ENTER, HOME, LEAVE
from cardan.runtime.messages import CanFrame
from cardan.runtime.run import RunPaths, is_alive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
CARDAN = [sys.executable, "-m", "cardan.runtime.cli.main"]
PERIODS, PERIOD_NS = 15 * 256, 10_000_000  # both counters go on where the loop begins again
PATIENCE_S = 30.0
MANIFEST = """schema = 1
name = "replayed"
profile = "bench"

[nodes.replay]
use = "can-replay"
channels = ["vehicle"]
config = { path = "drive.log", loop = true }

[nodes.can]
use = "can-receiver"
channels = ["vehicle"]

[nodes.state]
use = "vehicle-state"
inputs = { frames = "can/frames" }

[nodes.recorder]
use = "recorder"
inputs = { everything = ["*"] }
"""
Ask = Callable[..., Any]


def bus_frames() -> Iterator[LoggedFrame]:
    """Every message of the reference vehicle, each with its counter."""
    dbc = load_dbc(reference_dbc_path())
    codecs = [dbc.message(name) for name in dbc.names]
    for period in range(PERIODS):
        for codec in codecs:
            values = {name: float(name == "VALID") for name in codec.signals if name not in ("CRC", "COUNTER")}
            data = codec.encode(values, period % codec.modulus)
            yield LoggedFrame(frame=CanFrame("vehicle", codec.frame_id, data, period * PERIOD_NS))


class Vehicle:
    """The run and its folders; short ones, since the name of a socket has at most 107 bytes."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.data = folder / "r", folder / "d"
        self.environment = os.environ | {
            "CARDAN_RUN_DIR": str(self.runs),
            "CARDAN_DATA_DIR": str(self.data),
            "XDG_CACHE_HOME": str(folder / "c"),
            "TERM": "xterm-256color",
        }
        self.environment.pop("NO_COLOR", None)
        (folder / "vehicle.toml").write_text(MANIFEST)
        write_candump(folder / "drive.log", bus_frames())
        command = [*CARDAN, "up", str(folder)]
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def ask(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CARDAN, "can", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=self.environment,
            check=False,
        )

    def wait_until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)

    @property
    def alive(self) -> bool:
        return is_alive(RunPaths((self.runs / "current").resolve(), self.data))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def vehicle() -> Iterator[Vehicle]:
    with tempfile.TemporaryDirectory(prefix="can-") as name:
        made = Vehicle(Path(name))
        try:
            made.wait_until(lambda: (made.runs / "current" / "plan.json").exists() and made.alive)
            assert made.ask("dump", "--count", 1).returncode == 0  # the bus is up
            yield made
        finally:
            if made.process.poll() is None:
                made.process.kill()
                made.process.wait()


def test_list_names_the_channel_its_address_and_who_has_it_open(vehicle: Vehicle) -> None:
    document = json.loads(vehicle.ask("list", "--json").stdout)
    (channel,) = document["channels"]
    assert (document["schema_version"], document["live"], channel["channel"]) == (1, True, "vehicle")
    assert re.fullmatch(r"239\.74\.163\.2:\d{4,5}", channel["device"])
    assert channel["open_by"] == ["replay", "can"]


def test_dump_is_what_is_on_the_bus_now(vehicle: Vehicle, tmp_path: Path) -> None:
    said = vehicle.ask("dump", "--for", "300ms")
    (tmp_path / "dump.log").write_text(said.stdout)
    frames = [logged.frame for logged in read_candump(tmp_path / "dump.log")]
    assert {frame.id for frame in frames} == {0xB0, 0xB1, 0xB2, 0xB3, 0x120, 0x121, 0x122}
    assert abs(frames[-1].stamp_ns / 1e9 - time.time()) < PATIENCE_S
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(stamps)


def test_decode_uses_the_dbc_of_the_vehicle(vehicle: Vehicle) -> None:
    said = vehicle.ask("decode", "vehicle", "--id", "MOTION", "--count", 20, "--json")
    records = [json.loads(line) for line in said.stdout.splitlines()]
    assert [(record["message"], record["verdict"]) for record in records] == [("MOTION", "ok")] * 20
    assert said.returncode == 0


def test_sniff_without_a_terminal_is_one_table(vehicle: Vehicle) -> None:
    said = vehicle.ask("sniff", "--json", "--for", "500ms")
    ids = json.loads(said.stdout)["ids"]
    assert [item["message"] for item in ids][:2] == ["DRIVER_INPUTS", "WHEEL_SPEEDS"]
    assert all(item["wrong"] == 0 and 50 < item["rate_hz"] < 150 for item in ids)


def test_sniff_on_a_terminal_is_redrawn_in_place_and_marks_what_changes(vehicle: Vehicle) -> None:
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [*CARDAN, "can", "sniff", "--for", "1s"]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=vehicle.environment):
        os.close(terminal)
        written = b""
        while True:
            try:
                written += os.read(master, 65536)
            except OSError:  # EIO: the command has closed the terminal
                break
    os.close(master)
    text = written.decode()
    assert ENTER in text
    assert LEAVE in text
    pictures = text.split(LEAVE)[0].split(HOME)[1:]
    assert len(pictures) >= 2
    assert "\x1b[7m" in pictures[-1]
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", pictures[-1]).splitlines()
    lines = [line for line in lines if line]
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[0] == "replayed on bench, live: 7 ids"
    assert any("STEERING_COMMAND" in line for line in lines)


def test_health_of_a_good_bus_is_healthy(vehicle: Vehicle) -> None:
    said = vehicle.ask("health", "--json", "--for", "700ms")
    document = json.loads(said.stdout)
    (channel,) = document["channels"]
    assert (document["verdict"], document["live"], said.returncode) == ("healthy", True, 0), document
    assert (channel["ids"], channel["expected"], channel["missing"], channel["wrong"]) == (7, 7, [], 0)
    assert channel["frames"] > 200
    assert 0.05 < channel["load"] < 0.5


def test_an_unknown_channel_names_the_near_one(vehicle: Vehicle) -> None:
    said = vehicle.ask("dump", "vehicel")
    assert (said.returncode, said.stdout) == (2, "")
    assert 'did you mean "vehicle"?' in said.stderr


def test_an_adapter_that_a_node_holds_is_seen_through_the_topics(
    vehicle: Vehicle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(can_target, "OWN", ())
    for name in ("CARDAN_RUN_DIR", "CARDAN_DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, vehicle.environment[name])
    assert main(["can", "dump", "vehicle", "--count", "50", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == 50
    assert {record["channel"] for record in records} == {"vehicle"}


# The vehicle has ended from here on.


@pytest.fixture(scope="module")
def ended(vehicle: Vehicle) -> Vehicle:
    """A listener that was there when the run ended, ends too."""
    listener = subprocess.Popen([*CARDAN, "can", "dump"], env=vehicle.environment, stdout=subprocess.PIPE)
    assert listener.stdout is not None
    assert listener.stdout.readline()
    vehicle.stop()
    listener.communicate(timeout=PATIENCE_S)
    assert listener.returncode == 0
    return vehicle


def test_after_its_end_the_recording_is_dumped_and_decoded(ended: Vehicle) -> None:
    said = ended.ask("dump", "--count", 100)
    assert len(said.stdout.splitlines()) == 100
    assert "no run is active" in said.stderr
    decoded = ended.ask("decode", "--id", "MOTION", "--count", 10)
    assert (decoded.returncode, len(decoded.stdout.splitlines())) == (0, 10)
    (recording,) = (ended.data / "recordings").iterdir()
    assert len(ended.ask("dump", recording, "--count", 7).stdout.splitlines()) == 7


def test_after_its_end_health_judges_what_was_recorded(ended: Vehicle) -> None:
    document = json.loads(ended.ask("health", "--json").stdout)
    (channel,) = document["channels"]
    assert (document["live"], document["source"]) == (False, "replayed on bench, the last run")
    assert (channel["ids"], channel["wrong"], channel["missing"]) == (7, 0, [])


def test_after_its_end_list_shows_the_channels_without_holders(ended: Vehicle) -> None:
    document = json.loads(ended.ask("list", "--json").stdout)
    assert document["live"] is False
    assert [channel["open_by"] for channel in document["channels"]] == [[]]


def test_a_run_without_a_recording_still_has_a_verdict(ended: Vehicle) -> None:
    folder = ended.data / "recordings"
    folder.rename(folder.with_name("hidden"))
    said = ended.ask("health", "--json")
    (channel,) = json.loads(said.stdout)["channels"]
    assert [item["code"] for item in channel["findings"]][:1] == ["cannot-listen"]
    assert "has no recording" in channel["findings"][0]["text"]
    assert said.returncode == 1
    assert ended.ask("dump").returncode == 3
