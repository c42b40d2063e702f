"""Raw pictures: every reader of Protocol Buffers sees them, and they come back bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader
from msgspec import structs

from cardan.runtime.errors import RunError
from cardan.runtime.messages import CameraFrame, Message
from cardan.runtime.record.export import row_of
from cardan.runtime.record.files import recording_path
from cardan.runtime.record.mcap_file import read_messages
from cardan.runtime.record.policy import TopicPolicy
from cardan.runtime.record.protobuf import fields, fixed32_field, number_field, varint
from cardan.runtime.record.raw_picture import raw_fields
from cardan.runtime.record.read_back import ReadBack
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.record.settings import RecorderConfig
from cardan.runtime.testing import Bench

TOPICS: dict[str, type[Message]] = {"camera/frame": CameraFrame}
IMAGE = np.random.default_rng(1).integers(0, 256, (12, 20, 3), np.uint8)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    config = RecorderConfig(topics={"camera/frame": TopicPolicy(frames="raw")})
    with Bench(Recorder, config=config, data_dir=tmp_path, topics=TOPICS) as bench:
        for number in range(3):
            image = IMAGE if number < 2 else np.ascontiguousarray(IMAGE[:, :, 0])
            bench.send("everything", CameraFrame(frame_id=number, image=image), topic="camera/frame", valid=number != 1)
            bench.step()
    return recording_path(tmp_path, "bench")


def decoded(schema: bytes, data: bytes) -> Any:
    """By Google's own library, from the schema in the file alone."""
    files = descriptor_pb2.FileDescriptorSet.FromString(schema)
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("foxglove.RawImage")).FromString(data)


def test_a_standard_reader_sees_the_pixels(recording: Path) -> None:
    with recording.open("rb") as file:
        found = list(make_reader(file, validate_crcs=True).iter_messages())
    assert len(found) == 3
    for number, (schema, channel, message) in enumerate(found):
        assert schema is not None
        assert (schema.name, schema.encoding, channel.message_encoding) == ("foxglove.RawImage", "protobuf", "protobuf")
        image = decoded(schema.data, message.data)
        assert (image.width, image.height, image.frame_id) == (20, 12, "camera/frame")
        assert (image.encoding, image.step) == (("rgb8", 60) if number < 2 else ("mono8", 20))
        assert image.data == (IMAGE if number < 2 else IMAGE[:, :, 0]).tobytes()
        assert image.timestamp.seconds * 10**9 + image.timestamp.nanos == message.log_time


def test_it_comes_back_bit_for_bit_with_its_envelope(recording: Path) -> None:
    reader = ReadBack(CameraFrame)
    samples = [reader.read(message) for message in read_messages(recording)]
    assert [(sample.value.frame_id, sample.valid, sample.epoch) for sample in samples] == [
        (0, True, 1),
        (1, False, 1),
        (2, True, 1),
    ]
    assert np.array_equal(samples[0].value.image, IMAGE)
    assert np.array_equal(samples[2].value.image, IMAGE[:, :, 0])


def test_a_table_has_its_other_fields(recording: Path) -> None:
    rows = [row_of(message) for message in read_messages(recording)]
    assert [row["message.frame_id"] if "message.frame_id" in row else row["frame_id"] for row in rows] == [0, 1, 2]
    assert all("image" not in name for row in rows for name in row)


@given(st.binary(max_size=60))
def test_no_damaged_picture_does_anything_but_be_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"outside|cardan|size"):
        raw_fields(data)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"message":', b'"massage":', "what goes with the picture is damaged: .*message"),
        (b'{"frame_id"', b'["frame_id"', "what goes with the picture is damaged: "),
        (b'{"frame_id"', b'{"fram\xff_id"', "what goes with the picture is damaged: "),
        (b'"valid"', b'"valid', "what goes with the picture is damaged: "),
        (fixed32_field(2, 20), fixed32_field(2, 21), "the picture has 720 bytes, 21x12x3 were expected"),
    ],
)
def test_what_is_damaged_in_a_picture_is_said(recording: Path, old: bytes, new: bytes, said: str) -> None:
    first = next(read_messages(recording))
    damaged = structs.replace(first, data=first.data.replace(old, new.ljust(len(old)), 1))
    assert damaged != first
    with pytest.raises(ValueError, match=said):
        raw_fields(damaged.data)
    with pytest.raises(RunError, match=f"a recorded message of camera/frame cannot be read as CameraFrame: {said}"):
        ReadBack(CameraFrame).read(damaged)
    with pytest.raises(RunError, match=f"message 0 of camera/frame cannot be read: {said}"):
        row_of(damaged)


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 2**63)), max_size=5))
def test_numbers_come_back(pairs: list[tuple[int, int]]) -> None:
    data = b"".join(number_field(number, value) for number, value in pairs)
    assert list(fields(data)) == pairs
    assert varint(300) == b"\xac\x02"
