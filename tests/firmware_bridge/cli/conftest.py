"""A log of the reference vehicle's sensors, folders of one's own, and what a command says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cardan.drivers.can.candump import LoggedFrame, write_candump
from cardan.firmware_bridge.dbc import Dbc, load_dbc
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.cli.main import main
from cardan.runtime.messages import CanFrame

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 10_000_000
SENSORS = ("DRIVER_INPUTS", "WHEEL_SPEEDS", "STEERING_ANGLE", "MOTION")
PERIODS = 100


def sensor_frames(dbc: Dbc, periods: int = PERIODS, channel: str = "vehicle") -> Iterator[LoggedFrame]:
    """One second of what the vehicle sends, speeding up from 10 m/s."""
    codecs = [dbc.message(name) for name in SENSORS]
    for period in range(periods):
        for codec in codecs:
            values = {name: 0.0 for name in codec.signals if name not in ("CRC", "COUNTER")}
            values["VALID"] = 1.0
            if codec.name == "MOTION":
                values["SPEED"] = 10.0 + 0.04 * period
            data = codec.encode(values, period % codec.modulus)
            yield LoggedFrame(frame=CanFrame(channel, codec.frame_id, data, START_NS + period * PERIOD_NS))


@pytest.fixture
def frames() -> list[LoggedFrame]:
    return list(sensor_frames(load_dbc(reference_dbc_path())))


@pytest.fixture
def log(tmp_path: Path, frames: list[LoggedFrame]) -> Path:
    path = tmp_path / "drive.log"
    write_candump(path, frames)
    return path


@dataclass(frozen=True)
class Said:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


Ask = Callable[..., Said]


@pytest.fixture
def cardan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`cardan can WORDS` with run and data folders of its own."""
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def ask(*words: object) -> Said:
        capsys.readouterr()
        code = main(["can", *map(str, words)])
        output = capsys.readouterr()
        assert "failed unexpectedly" not in output.err, output.err
        return Said(code, output.out, output.err)

    return ask
