"""Frames as a DBC reads them, and which DBC belongs to which channel of a plan."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cardan.firmware_bridge.frame_reader import READERS, FrameReader, reader_of_dbc, reader_of_vehicle, readers_of_plan
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CanFrame
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import CanChannelSettings, Profile
from cardan.runtime.registry import load_node_class

OVERLAPPING = """VERSION ""

NS_ :

BS_:

BU_: ECU

BO_ 12 X: 1 ECU
 SG_ S : 0|8@1+ (1,0) [0|1] "" ECU
 SG_ T : 4|4@1+ (1,0) [0|1] "" ECU

BO_ 13 BROKEN: 1 ECU
 SG_ S : 0|8@1+ (0,0) [0|1] "" ECU
"""


@pytest.fixture
def reader() -> FrameReader:
    return reader_of_dbc(reference_dbc_path())


def frame(frame_id: int, data: bytes, **kind: bool) -> CanFrame:
    return CanFrame("vehicle", frame_id, data, 0, **kind)


def plan(*nodes: NodePlan, channels: tuple[str, ...] = ("vehicle",)) -> Plan:
    return Plan(
        name="car",
        manifest="/nowhere/vehicle.toml",
        manifest_sha256="",
        profile=Profile(name="bench", can={name: CanChannelSettings(name=name) for name in channels}),
        envelope={},
        envelope_hash="",
        nodes=list(nodes),
    )


def test_what_the_dbc_does_not_know_is_none(reader: FrameReader) -> None:
    assert reader.read(frame(0x7FE, b"")) is None
    assert reader.read(frame(0xB3, bytes(8), extended=True)) is None
    assert reader.read(frame(0xB3, bytes(8), error=True)) is None


def test_a_multiplexed_or_overlapping_message_is_read_and_a_senseless_one_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "x.dbc"
    path.write_text(OVERLAPPING)
    reader = reader_of_dbc(path)
    found = reader.read(frame(12, b"\x21"))
    assert found is not None
    assert [(signal.name, signal.value) for signal in found.signals] == [("S", 0x21), ("T", 2)]
    assert (found.verdict, found.wrong) == ("", False)
    assert reader.read(frame(13, b"\x21")) is None


def test_messages_that_the_vehicle_relies_on_stand_first_and_periods_come_from_its_map(tmp_path: Path) -> None:
    names = [
        (item.message, item.relied_on, item.period_s) for item in reader_of_vehicle("reference", tmp_path).expected
    ]
    assert [name for name, relied_on, _ in names if relied_on] == [
        "DRIVER_INPUTS",
        "WHEEL_SPEEDS",
        "STEERING_ANGLE",
        "MOTION",
    ]
    assert names[-1] == ("BRIDGE_STATUS", False, 0.01)


def test_the_nodes_that_name_a_vehicle_exist() -> None:
    assert all(load_node_class(use, []) for use in READERS)


def test_the_vehicle_of_a_channel_is_what_its_nodes_are_configured_for() -> None:
    state = NodePlan(name="state", index=0, use=READERS[0], config={"channel": "vehicle"})
    silent = NodePlan(name="other", index=1, use="x:Other", config={"vehicle": "nonsense"})
    found = readers_of_plan(plan(state, silent, channels=("vehicle", "radar")))
    assert list(found) == ["vehicle"]
    assert found["vehicle"].source == str(reference_dbc_path())


def test_the_only_channel_needs_no_name_and_one_of_several_does() -> None:
    state = NodePlan(name="state", index=0, use=READERS[0])
    assert list(readers_of_plan(plan(state))) == ["vehicle"]
    assert readers_of_plan(plan(state, channels=("a", "b"))) == {}
    bridge = NodePlan(name="bridge", index=0, use=READERS[1], channels=["b"])
    assert list(readers_of_plan(plan(bridge, channels=("a", "b")))) == ["b"]


def test_a_vehicle_of_another_release_is_one_message() -> None:
    state = NodePlan(name="state", index=0, use=READERS[0], config={"vehicle": {"dbc": 7}})
    with pytest.raises(ConfigError, match="the vehicle of node state cannot be read") as error:
        readers_of_plan(plan(state))
    assert error.value.hint == "use --dbc FILE"


def test_a_read_frame_is_plain_data(reader: FrameReader) -> None:
    found = reader.read(frame(0x122, bytes.fromhex("46B5540ACFC20CA8")))
    assert found is not None
    assert msgspec.to_builtins(found)["signals"][2] == {
        "name": "ENGAGEMENT",
        "value": 2,
        "unit": "",
        "label": "enabled",
    }
