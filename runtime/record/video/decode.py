"""Recorded H.264 back to pictures by the computer's ffmpeg: near what the camera gave, as the encoder kept it.

A stream is decoded in groups, each from a picture that stands for itself up to the next such. The n-th picture that
comes out of a group is that of its n-th message; a group that gives another number of pictures gives none.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from cardan.runtime.errors import ConfigError
from cardan.runtime.record.mcap_file import RecordedMessage
from cardan.runtime.record.video.annexb import is_keyframe
from cardan.runtime.record.video.choose import last_line
from cardan.runtime.record.video.message import SCHEMA_NAME, VideoUnit, video_unit

GROUP_LIMIT_S = 60.0
_PPM = re.compile(rb"P6\s(\d+) (\d+)\s255\s")
"""What stands before the pixels of each picture: its width and height."""


class VideoPictures:
    """The pictures of one topic; those of the group that was asked for last are kept.

    messages: of the topic, in order. What is not in its video is passed over.
    """

    def __init__(self, messages: Iterable[RecordedMessage]) -> None:
        self._groups: list[list[VideoUnit]] = [[]]
        """The first, and each behind a damaged message, has no beginning."""
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        """Time of sending and sequence of a message -> its group, and its place in that."""
        self._decoded: tuple[int, list[np.ndarray] | ValueError] = -1, []
        for message in messages:
            if message.schema == SCHEMA_NAME:
                self._add(message)

    def _add(self, message: RecordedMessage) -> None:
        try:
            unit = video_unit(message.data)
        except ValueError:
            self._groups.append([])
            return
        if is_keyframe(unit.data):
            self._groups.append([])
        self._places[message.sent_ns, message.sequence] = len(self._groups) - 1, len(self._groups[-1])
        self._groups[-1].append(unit)

    def of(self, message: RecordedMessage) -> np.ndarray:
        """uint8 (height, width, 3), RGB, or (height, width) where it was grey; read-only.

        Blocks while a group is decoded. ValueError when it cannot be; ConfigError where there is no ffmpeg.
        """
        number, place = self._places[message.sent_ns, message.sequence]
        if self._decoded[0] != number:
            self._decoded = number, self._group(number)
        pictures = self._decoded[1]
        if isinstance(pictures, ValueError):
            raise pictures
        return _as_it_was(pictures[place], self._groups[number][place].own.shape)

    def _group(self, number: int) -> list[np.ndarray] | ValueError:
        """Its pictures, or why there are none: that is found out once."""
        try:
            return decoded([unit.data for unit in self._groups[number]])
        except ValueError as error:
            return error


def _as_it_was(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Without what an encoder adds to odd sizes; grey where it was grey. shape: empty where nothing is known."""
    if len(shape) < 2:
        return image
    cut = image[: shape[0], : shape[1]]
    return cut if len(shape) == 3 else cut[:, :, 0]


def decoded(units: Sequence[bytes]) -> list[np.ndarray]:
    """The pictures of one group, as many as access units: uint8 (height, width, 3), RGB; errors as there."""
    if not is_keyframe(units[0]):
        raise ValueError("the picture that its video begins with is missing")
    program = shutil.which("ffmpeg")
    if program is None:
        raise ConfigError(
            "pictures that were recorded as H.264 want ffmpeg, which is not installed",
            hint='apt-get install ffmpeg; or record the topic with frames = "raw"',
        )
    words = [program, "-hide_banner", "-loglevel", "error", "-f", "h264", "-i", "pipe:0"]
    words += ["-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
    try:
        done = subprocess.run(words, input=b"".join(units), capture_output=True, timeout=GROUP_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"ffmpeg took more than {GROUP_LIMIT_S:g} s for {len(units)} pictures") from error
    pictures = list(_pictures(done.stdout))
    if len(pictures) != len(units):
        said = last_line(done.stderr)
        raise ValueError(f"ffmpeg gave {len(pictures)} of {len(units)} pictures{f': {said}' if said else ''}")
    return pictures


def _pictures(stream: bytes) -> Iterator[np.ndarray]:
    at = 0
    while (head := _PPM.match(stream, at)) is not None:
        width, height = map(int, head.groups())
        at = head.end() + width * height * 3
        if at > len(stream):
            return
        yield np.frombuffer(stream, np.uint8, width * height * 3, head.end()).reshape(height, width, 3)
