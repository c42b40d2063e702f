"""The gate: frames that say exactly what was meant, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cardan.firmware_bridge.codec import CodecError, MessageCodec, Signal
from cardan.firmware_bridge.dbc import Dbc, load_dbc
from cardan.firmware_bridge.gate import Actuator, Gate, GateFault, OutFrame
from cardan.firmware_bridge.vehicle_map import reference_dbc_path

WIDE = {"steering_rad": (-0.5, 0.5), "accel_mps2": (-3.5, 2.0)}
BOTH = {"steering_rad": True, "accel_mps2": True}


@pytest.fixture
def dbc() -> Dbc:
    return load_dbc(reference_dbc_path())


def actuators(dbc: Dbc) -> list[Actuator]:
    return [
        Actuator(
            signal="steering_rad", message=dbc.message("STEERING_COMMAND"), value="ROAD_WHEEL_ANGLE", enable="ENABLE"
        ),
        Actuator(signal="accel_mps2", message=dbc.message("ACCEL_COMMAND"), value="ACCELERATION", enable="ENABLE"),
    ]


def send(gate: Gate, values: Mapping[str, float], **options: Any) -> list[OutFrame]:
    return gate.frames(values, **{"bounds": WIDE, "enabled": BOTH, "state": 2, "limits_hash": 0xABCD, **options})


def test_the_frames_say_what_was_meant_with_counter_and_checksum(dbc: Dbc) -> None:
    gate = Gate(actuators(dbc), status=dbc.message("BRIDGE_STATUS"))
    for number in range(300):
        frames = send(gate, {"steering_rad": 0.1, "accel_mps2": -1.0})
        assert [frame.id for frame in frames] == [288, 289, 290]
        for frame, name in zip(frames, ("STEERING_COMMAND", "ACCEL_COMMAND", "BRIDGE_STATUS"), strict=True):
            codec = dbc.message(name)
            assert codec.intact(frame.data)
            assert codec.counter(frame.data) == number % 256
    steering, accel, status = (
        dbc.message(n).decode(f.data)
        for n, f in zip(("STEERING_COMMAND", "ACCEL_COMMAND", "BRIDGE_STATUS"), frames, strict=True)
    )
    assert steering["ROAD_WHEEL_ANGLE"] == pytest.approx(0.1)
    assert steering["ENABLE"] == 1
    assert (accel["ACCELERATION"], accel["ENABLE"]) == (-1.0, 1)
    assert (status["ENGAGEMENT"], status["ARMED"], status["LIMITS_HASH"]) == (2, 1, 0xABCD)


def test_an_actuator_that_is_not_enabled_is_told_to_let_go(dbc: Dbc) -> None:
    gate = Gate(actuators(dbc), status=dbc.message("BRIDGE_STATUS"))
    frames = send(gate, {"steering_rad": 0.1, "accel_mps2": 0.0}, enabled={"steering_rad": True})
    assert dbc.message("STEERING_COMMAND").decode(frames[0].data)["ENABLE"] == 1
    assert dbc.message("ACCEL_COMMAND").decode(frames[1].data)["ENABLE"] == 0
    assert dbc.message("BRIDGE_STATUS").decode(frames[2].data)["ARMED"] == 1


def test_without_a_status_message_only_actuators_are_sent(dbc: Dbc) -> None:
    gate = Gate(actuators(dbc))
    assert [frame.id for frame in send(gate, {"steering_rad": 0.0, "accel_mps2": 0.0})] == [288, 289]
    assert set(gate.allowed) == {(288, False), (289, False)}


@pytest.mark.parametrize(("name", "value"), [("steering_rad", 0.6), ("accel_mps2", -3.6)])
def test_bytes_outside_the_bounds_never_leave(dbc: Dbc, name: str, value: float) -> None:
    gate = Gate(actuators(dbc))
    with pytest.raises(GateFault, match=r"reads .* allowed is") as caught:
        send(gate, {"steering_rad": 0.0, "accel_mps2": 0.0, name: value})
    assert caught.value.code == f"read-back:{name}"


class Liar(MessageCodec):
    """A codec with a defect: it changes what it encodes."""

    def __init__(self, honest: MessageCodec, defect: str) -> None:
        super().__init__(
            name=honest.name,
            frame_id=honest.frame_id,
            length=honest.length,
            signals=honest.signals.values(),
            protection=honest.protection,
            checksum_signal="CRC",
            counter_signal="COUNTER",
        )
        self._defect = ""
        self.defect = defect

    def encode(self, values: Mapping[str, float], counter: int = 0) -> bytes:
        if self._defect == "enable":
            values = {**values, "ENABLE": 1}
        data = super().encode(values, counter)
        if self._defect == "value":
            data = super().encode({**values, "ROAD_WHEEL_ANGLE": 1.0}, counter)
        if self._defect == "checksum":
            data = bytes((data[0] ^ 1, *data[1:]))
        return data[:-1] + b"" if self._defect == "length" else data

    def start(self) -> None:
        self._defect = self.defect


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("value", "read-back:steering_rad"),
        ("enable", "read-back:steering_rad"),
        ("checksum", "not-allowed:0x120"),
        ("length", "not-allowed:0x120"),
    ],
)
def test_a_defect_of_the_encoder_is_found_before_the_bytes_leave(dbc: Dbc, defect: str, code: str) -> None:
    liar = Liar(dbc.message("STEERING_COMMAND"), defect)
    gate = Gate([Actuator(signal="steering_rad", message=liar, value="ROAD_WHEEL_ANGLE", enable="ENABLE")])
    liar.start()
    with pytest.raises(GateFault) as caught:
        send(gate, {"steering_rad": 0.0}, enabled={})
    assert caught.value.code == code


def test_a_frame_that_is_not_listed_is_refused(dbc: Dbc) -> None:
    gate = Gate(actuators(dbc))
    del gate.allowed[(289, False)]
    with pytest.raises(GateFault, match="is not on the allow list") as caught:
        send(gate, {"steering_rad": 0.0, "accel_mps2": 0.0})
    assert caught.value.code == "not-allowed:0x121"


def crowded(*extra: str) -> MessageCodec:
    names = ("VALUE", "ENABLE", *extra)
    signals = [Signal(name=name, big_endian=False, shift=8 * at, length=8) for at, name in enumerate(names)]
    return MessageCodec(name="CROWDED", frame_id=5, length=8, signals=signals)


def test_signals_that_never_change_come_from_the_constants() -> None:
    codec = crowded("SET_ME_5")
    actuator = Actuator(signal="s", message=codec, value="VALUE", enable="ENABLE")
    gate = Gate([actuator], constants={"CROWDED.SET_ME_5": 5})
    (frame,) = gate.frames({"s": 3}, {"s": (0, 9)}, {"s": True}, state=0, limits_hash=0)
    assert frame == OutFrame(5, b"\x03\x01\x05\0\0\0\0\0", False, False)


def test_two_signals_of_the_envelope_can_share_a_message() -> None:
    codec = crowded("OTHER", "OTHER_ENABLE")
    gate = Gate(
        [
            Actuator(signal="a", message=codec, value="VALUE", enable="ENABLE"),
            Actuator(signal="b", message=codec, value="OTHER", enable="OTHER_ENABLE"),
        ]
    )
    (frame,) = gate.frames({"a": 1, "b": 2}, {"a": (0, 9), "b": (0, 9)}, {"b": True}, state=0, limits_hash=0)
    assert frame.data[:4] == b"\x01\x00\x02\x01"


def test_an_incomplete_message_is_found_at_the_start() -> None:
    with pytest.raises(CodecError, match=r"no value for CROWDED\.SET_ME_5"):
        Gate([Actuator(signal="s", message=crowded("SET_ME_5"), value="VALUE", enable="ENABLE")])


@pytest.mark.parametrize(
    ("place", "text"), [("OTHER.X", "OTHER.X is in no message"), ("CROWDED.SET", 'no signal "SET"')]
)
def test_a_constant_that_has_no_place_is_found_at_the_start(place: str, text: str) -> None:
    with pytest.raises(CodecError, match=text):
        Gate(
            [Actuator(signal="s", message=crowded(), value="VALUE", enable="ENABLE")],
            constants={place: 1},
        )


def test_a_signal_without_an_actuator_cannot_be_snapped(dbc: Dbc) -> None:
    with pytest.raises(CodecError, match='no message carries the signal "brake"'):
        Gate(actuators(dbc)).snap("brake", 0.0, (0.0, 1.0))
