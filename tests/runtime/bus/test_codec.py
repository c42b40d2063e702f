import tempfile
from pathlib import Path

import msgpack
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.bus.codec import EXT_PAYLOAD, SPILL_FROM, MessageDecoder, MessageEncoder
from cardan.runtime.bus.slots import SlotMaps, SlotPool
from cardan.runtime.errors import BusError
from cardan.runtime.messages import ActuatorCommand, CameraFrame, CanFrame, CanFrames, Message, schema_id, type_name


class Other(Message, frozen=True, kw_only=True):
    cycle: int


class Odd(Message, frozen=True, kw_only=True):
    thing: object


def command(cycle: int = 1) -> ActuatorCommand:
    return ActuatorCommand(cycle=cycle, steering_rad=0.1, accel_mps2=-1.5, envelope_hash="ab")


def test_a_message_comes_back_as_it_was_sent() -> None:
    payload = MessageEncoder(ActuatorCommand).encode(command())
    assert MessageDecoder(ActuatorCommand).decode(payload) == command()


def test_a_reader_without_types_sees_names() -> None:
    payload = MessageEncoder(ActuatorCommand).encode(command())
    assert msgpack.unpackb(payload)["steering_rad"] == 0.1


def test_can_frames_keep_their_order_and_bytes() -> None:
    frames = CanFrames(frames=[CanFrame("vehicle", n, bytes([n]), n) for n in range(5)])
    assert MessageDecoder(CanFrames).decode(MessageEncoder(CanFrames).encode(frames)) == frames


def test_another_type_on_an_output_is_refused() -> None:
    with pytest.raises(BusError, match="sent on an output of"):
        MessageEncoder(ActuatorCommand).encode(Other(cycle=1))  # type: ignore[arg-type]  # the mistake under test


def test_a_field_that_the_bus_cannot_carry_is_named() -> None:
    with pytest.raises(BusError, match="holds a complex"):
        MessageEncoder(Odd).encode(Odd(thing=1j))


def test_an_array_travels_in_the_message_without_a_pool() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    payload = MessageEncoder(CameraFrame).encode(CameraFrame(frame_id=1, image=image))
    decoder = MessageDecoder(CameraFrame)
    assert (decoder.decode(payload).image == image).all()
    assert decoder.intact


def test_an_array_in_a_pool_travels_as_a_descriptor_of_about_a_hundred_bytes(tmp_path: Path) -> None:
    pool = SlotPool(tmp_path, "camera.frame.1")
    encoder = MessageEncoder(CameraFrame, pool)
    decoder = MessageDecoder(CameraFrame, SlotMaps(tmp_path))
    image = np.random.default_rng(1).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    payload = encoder.encode(CameraFrame(frame_id=7, image=image))
    assert len(payload) < 120
    assert (decoder.decode(payload).image == image).all()
    pool.close()


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_never_crash(data: bytes) -> None:
    decoder = MessageDecoder(CameraFrame)
    with pytest.raises(BusError):
        decoder.decode(data)


def test_a_schema_id_depends_on_names_order_and_types() -> None:
    one = type("Shape", (Message,), {"__annotations__": {"a": int, "b": float}, "__module__": __name__})
    two = type("Shape", (Message,), {"__annotations__": {"b": float, "a": int}, "__module__": __name__})
    three = type("Shape", (Message,), {"__annotations__": {"a": int, "b": int}, "__module__": __name__})
    assert len({schema_id(kind) for kind in (one, two, three)}) == 3
    assert schema_id(ActuatorCommand) == schema_id(ActuatorCommand)


def test_a_type_is_named_by_module_and_class() -> None:
    assert type_name(CameraFrame) == "cardan.runtime.messages:CameraFrame"


class Words(Message, frozen=True, kw_only=True):
    text: str


def test_a_long_payload_travels_as_a_descriptor(tmp_path: Path) -> None:
    encoder, decoder = MessageEncoder(Words, SlotPool(tmp_path, "a.x.1")), MessageDecoder(Words, SlotMaps(tmp_path))
    text = "long" * (SPILL_FROM // 4)
    payload = encoder.encode(Words(text=text))
    assert len(payload) < 100
    assert decoder.decode(payload).text == text


def test_a_long_payload_that_was_overwritten_is_an_error(tmp_path: Path) -> None:
    pool = SlotPool(tmp_path, "a.x.1", 2)
    encoder, decoder = MessageEncoder(Words, pool, spill_from=100), MessageDecoder(Words, SlotMaps(tmp_path))
    payloads = [encoder.encode(Words(text=str(n) * 200)) for n in range(3)]
    assert decoder.decode(payloads[2]).text == "2" * 200
    with pytest.raises(BusError, match="overwritten before it was read"):
        decoder.decode(payloads[0])


def test_a_long_payload_is_inline_where_there_is_no_shared_memory() -> None:
    payload = MessageEncoder(Words).encode(Words(text="x" * SPILL_FROM))
    assert MessageDecoder(Words).decode(payload).text == "x" * SPILL_FROM


def test_a_descriptor_where_there_is_no_shared_memory_is_refused(tmp_path: Path) -> None:
    payload = MessageEncoder(Words, SlotPool(tmp_path, "a.x.1"), spill_from=10).encode(Words(text="x" * 100))
    with pytest.raises(BusError, match="no map but the extension 3"):
        MessageDecoder(Words).decode(payload)


def test_a_descriptor_that_leads_to_a_descriptor_is_refused(tmp_path: Path) -> None:
    pool = SlotPool(tmp_path, "a.x.1")
    inner = MessageEncoder(Words, pool, spill_from=10).encode(Words(text="x" * 100))
    slot = msgspec.msgpack.encode(pool.describe(np.frombuffer(inner, np.uint8)))
    with pytest.raises(BusError, match="holds another descriptor"):
        MessageDecoder(Words, SlotMaps(tmp_path)).decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(EXT_PAYLOAD, slot)))


@given(st.binary(max_size=200))
def test_random_bytes_never_lead_out_of_shared_memory(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.raises(BusError):
        decoder = MessageDecoder(CameraFrame, SlotMaps(Path(folder)))
        decoder.decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(EXT_PAYLOAD, data)))
