from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.bus.codec import MessageDecoder, MessageEncoder
from cardan.runtime.bus.envelope import HEADER_SIZE
from cardan.runtime.bus.slots import SlotPool
from cardan.runtime.errors import BusError
from cardan.runtime.link.inline import Inliner
from cardan.runtime.messages import CameraFrame, CanFrame, CanFrames

HEADER = bytes(HEADER_SIZE)
IMAGE = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3)


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[SlotPool]:
    pool = SlotPool(tmp_path, "camera.frame.1")
    yield pool
    pool.close()


@pytest.fixture
def inliner(tmp_path: Path) -> Iterator[Inliner]:
    inliner = Inliner(tmp_path)
    yield inliner
    inliner.close()


def test_an_array_in_a_slot_becomes_part_of_the_message(pool: SlotPool, inliner: Inliner) -> None:
    message = HEADER + MessageEncoder(CameraFrame, pool).encode(CameraFrame(frame_id=3, image=IMAGE))
    inlined = inliner.inline(message)
    assert inlined[:HEADER_SIZE] == HEADER
    frame = MessageDecoder(CameraFrame).decode(inlined[HEADER_SIZE:])
    assert frame.frame_id == 3
    assert np.array_equal(frame.image, IMAGE)


def test_messages_without_slots_are_passed_on_as_they_are(inliner: Inliner) -> None:
    inline = HEADER + MessageEncoder(CameraFrame).encode(CameraFrame(frame_id=3, image=IMAGE))
    marked = HEADER + MessageEncoder(CanFrames).encode(CanFrames(frames=[CanFrame("c", 1, b"\xc7\x01\x01", 5)]))
    for message in (inline, marked, HEADER, HEADER + b"\xc0"):
        assert inliner.inline(message) == message


def test_a_long_message_that_lies_in_a_slot_becomes_part_of_the_message(pool: SlotPool, inliner: Inliner) -> None:
    frames = CanFrames(frames=[CanFrame("vehicle", number, bytes(8), number) for number in range(10_000)])
    payload = MessageEncoder(CanFrames, pool).encode(frames)
    assert len(payload) < 100
    inlined = inliner.inline(HEADER + payload)
    assert inlined[:HEADER_SIZE] == HEADER
    assert MessageDecoder(CanFrames).decode(inlined[HEADER_SIZE:]) == frames
    for _ in range(20):
        pool.describe(IMAGE)
    with pytest.raises(BusError, match=r"overwritten|gone"):
        inliner.inline(HEADER + payload)


def test_a_slot_that_is_used_again_is_no_picture(pool: SlotPool, inliner: Inliner, tmp_path: Path) -> None:
    message = HEADER + MessageEncoder(CameraFrame, pool).encode(CameraFrame(frame_id=3, image=IMAGE))
    for _ in range(20):
        pool.describe(IMAGE)
    with pytest.raises(BusError, match="overwritten"):
        inliner.inline(message)


def test_a_pool_that_is_gone_is_an_error_of_ours(pool: SlotPool, inliner: Inliner) -> None:
    message = HEADER + MessageEncoder(CameraFrame, pool).encode(CameraFrame(frame_id=3, image=IMAGE))
    pool.close()
    with pytest.raises(BusError):
        inliner.inline(message)


@given(st.data())
def test_damaged_messages_give_an_error_or_stay_what_they_are(data: st.DataObject) -> None:
    folder = Path("/nonexistent")
    pool_message = b"\x82\xa8frame_id\x03\xa5image\xc7\x1f\x01\x95\xb0camera.frame.1.0\x00\x02\xa3|u1\x93\x3c\x50\x03"
    damaged = bytearray(HEADER + pool_message)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(HEADER_SIZE, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    message = bytes(damaged[: data.draw(st.integers(HEADER_SIZE, len(damaged)))])
    inliner = Inliner(folder)
    try:
        assert inliner.inline(message) == message
    except BusError:
        return
    finally:
        inliner.close()
