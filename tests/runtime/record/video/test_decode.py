"""Pictures that were kept as H.264 come back, each with its own message, or are refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from cardan.runtime.errors import ConfigError, DeviceError, RunError
from cardan.runtime.messages import CameraFrame, type_name
from cardan.runtime.profile import VideoSettings
from cardan.runtime.record.mcap_file import RecordedMessage
from cardan.runtime.record.picture_message import own_json
from cardan.runtime.record.raw_picture import ENCODING
from cardan.runtime.record.read_back import ReadBack
from cardan.runtime.record.video import decode
from cardan.runtime.record.video.annexb import Splitter
from cardan.runtime.record.video.choose import Choice, choose
from cardan.runtime.record.video.commands import Shape, Wish
from cardan.runtime.record.video.decode import VideoPictures
from cardan.runtime.record.video.message import SCHEMA_NAME, video_parts

pytestmark = pytest.mark.slow
PICTURES, IN_A_GROUP = 12, 5
HEIGHT, WIDTH = 121, 161
"""Odd: an encoder wants even numbers, and adds a row and a column."""
Read = Callable[[RecordedMessage], CameraFrame]


def frame(number: int, *, grey: bool) -> CameraFrame:
    """Each darker than the one before; red where it has colours."""
    image = np.zeros((HEIGHT, WIDTH) if grey else (HEIGHT, WIDTH, 3), np.uint8)
    (image if grey else image[:, :, 0])[:] = 240 - 15 * number
    return CameraFrame(frame_id=number, image=image)


@pytest.fixture(scope="module")
def encoder() -> Choice:
    try:
        return choose(VideoSettings())
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def of_colours(encoder: Choice) -> list[RecordedMessage]:
    return video_of(encoder, grey=False)


@pytest.fixture
def video(of_colours: list[RecordedMessage]) -> list[RecordedMessage]:
    """Twelve pictures, of which every fifth stands for itself."""
    return list(of_colours)


def video_of(encoder: Choice, *, grey: bool) -> list[RecordedMessage]:
    frames = [frame(number, grey=grey) for number in range(PICTURES)]
    words = encoder.words(Shape(WIDTH, HEIGHT, 1 if grey else 3), Wish(10.0, 2000, IN_A_GROUP / 10))
    pixels = b"".join(item.image.tobytes() for item in frames)
    done = subprocess.run(words, input=pixels, capture_output=True, timeout=60, check=True)
    splitter = Splitter()
    units = [*splitter.feed(done.stdout), *splitter.end()]
    return [
        recorded(number, own_json(item, {"origin_ns": number, "valid": True, "epoch": 1}), unit.data)
        for number, (item, unit) in enumerate(zip(frames, units, strict=True))
    ]


def recorded(number: int, own: bytes, unit: bytes) -> RecordedMessage:
    data = b"".join(video_parts("camera/frame", 1, own, unit))
    kind = type_name(CameraFrame)
    return RecordedMessage("camera/frame", kind, number, number, number, data, ENCODING, SCHEMA_NAME)


def reader_of(messages: list[RecordedMessage]) -> Read:
    reader = ReadBack(CameraFrame, VideoPictures(messages).of)
    return lambda message: reader.read(message).value


@pytest.mark.parametrize("grey", [False, True])
def test_each_picture_comes_back_with_its_message(encoder: Choice, grey: bool) -> None:
    messages = video_of(encoder, grey=grey)
    read = reader_of(messages)
    for number in (0, 11, *range(PICTURES)):  # in any order
        found, wanted = read(messages[number]), frame(number, grey=grey)
        assert found.frame_id == number and found.image.shape == wanted.image.shape
        assert abs(found.image.astype(int) - wanted.image).mean() < 5, "at the edges it is the added ones' colour too"


def test_a_group_is_decoded_once(video: list[RecordedMessage], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def counted(units: list[bytes]) -> list[np.ndarray]:
        sizes.append(len(units))
        return decode_group(units)

    decode_group = decode.decoded
    monkeypatch.setattr(decode, "decoded", counted)
    read = reader_of(video)
    for message in video:
        read(message)
    assert sizes == [5, 5, 2]


def test_pictures_before_the_first_that_stands_for_itself_are_refused_and_the_next_are_not(
    video: list[RecordedMessage],
) -> None:
    messages = video[3:]
    read = reader_of(messages)
    with pytest.raises(RunError, match="the picture that its video begins with is missing"):
        read(messages[0])
    assert read(messages[2]).frame_id == 5


def test_a_damaged_message_takes_those_with_it_that_need_it(video: list[RecordedMessage]) -> None:
    video[2] = structs.replace(video[2], data=video[2].data[:20])
    read = reader_of(video)
    assert read(video[1]).frame_id == 1
    for number in (2, 3, 4):
        with pytest.raises(RunError, match="of camera/frame cannot be read as CameraFrame"):
            read(video[number])
    assert read(video[5]).frame_id == 5


def test_a_recording_of_an_earlier_release_has_the_size_that_was_encoded(video: list[RecordedMessage]) -> None:
    earlier = [structs.replace(item, data=item.data.replace(b'"shape"', b'"other"')) for item in video]
    assert reader_of(earlier)(earlier[0]).image.shape == (HEIGHT + 1, WIDTH + 1, 3)


def program(folder: Path, script: str) -> None:
    (folder / "ffmpeg").write_text(f"#!/bin/sh\necho once >>{folder}/asked\n{script}\n")
    (folder / "ffmpeg").chmod(0o755)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat >/dev/null; echo no such codec >&2; exit 1", "ffmpeg gave 0 of 5 pictures: no such codec"),
        ("cat >/dev/null; printf 'P6\\n1 1\\n255\\nabcP6\\n1 1\\n255\\na'", "ffmpeg gave 1 of 5 pictures"),
        ("exec sleep 60", r"ffmpeg took more than 0\.2 s for 5 pictures"),
    ],
)
def test_a_decoder_that_fails_is_named(
    video: list[RecordedMessage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    program(tmp_path, script)
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / name))
    monkeypatch.setattr(decode, "GROUP_LIMIT_S", 0.2 if "sleep" in script else 20.0)
    read = reader_of(video)
    for message in video[:2]:
        with pytest.raises(RunError, match=said):
            read(message)
    assert (tmp_path / "asked").read_text() == "once\n", "what a group cannot give it is asked for once"


def test_without_ffmpeg_it_says_what_to_install(video: list[RecordedMessage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match="want ffmpeg, which is not installed"):
        reader_of(video)(video[0])
