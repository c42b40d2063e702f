"""Recorded video as a file that players open: the stream as it is, or in MP4 by the computer's ffmpeg."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cardan.runtime.errors import ConfigError, RunError
from cardan.runtime.record.mcap_file import RecordedMessage
from cardan.runtime.record.video.annexb import is_keyframe
from cardan.runtime.record.video.choose import last_line
from cardan.runtime.record.video.message import SCHEMA_NAME, video_unit

MP4_LIMIT_S = 600.0
USUAL_RATE_HZ = 20.0


class Written(NamedTuple):
    """What was written."""

    pictures: int
    rate_hz: float
    """Mean, by the times of sending; a stream has no times of its own."""


def to_h264(messages: Iterable[RecordedMessage], path: Path) -> Written:
    """Write the pictures of one topic one behind the other (Annex B), from the first that stands for itself on.

    FileExistsError when `path` exists, RunError when a picture is damaged. What was kept as JPEG or raw meanwhile is
    left out.
    """
    count, first_ns, last_ns = 0, 0, 0
    with path.open("xb") as file:
        for message in messages:
            if message.schema != SCHEMA_NAME:
                continue
            unit = _unit(message)
            if not count and not is_keyframe(unit):
                continue
            file.write(unit)
            first_ns = first_ns if count else message.sent_ns
            last_ns, count = message.sent_ns, count + 1
    span_s = (last_ns - first_ns) / 1e9
    return Written(count, (count - 1) / span_s if span_s > 0 else USUAL_RATE_HZ)


def _unit(message: RecordedMessage) -> bytes:
    try:
        return video_unit(message.data).data
    except ValueError as error:
        raise RunError(f"picture {message.sequence} of {message.topic} cannot be read: {error}") from error


def to_mp4(messages: Iterable[RecordedMessage], path: Path) -> Written:
    """The same in MP4, at its mean rate; nothing is encoded again. ConfigError without ffmpeg, RunError if it fails."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise ConfigError("MP4 wants ffmpeg, which is not installed", hint="apt-get install ffmpeg; or `--to h264`")
    if path.exists():
        raise FileExistsError(17, "File exists", str(path))
    with tempfile.TemporaryDirectory(prefix=".cardan-", dir=path.parent) as folder:
        stream = Path(folder) / "stream.h264"
        written = to_h264(messages, stream)
        if written.pictures:
            _wrap(program, stream, written.rate_hz, path)
    return written


def _wrap(program: str, stream: Path, rate_hz: float, path: Path) -> None:
    words = [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-n", "-f", "h264", "-i", str(stream)]
    times = f"setts=ts=N/({rate_hz:.6f}*TB)"  # not those that the encoder was told beforehand
    words += ["-c", "copy", "-bsf:v", times, "-f", "mp4", str(path)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=MP4_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise RunError(f"ffmpeg took more than {MP4_LIMIT_S:g} s for {path}", hint="`--to h264`") from error
    if done.returncode != 0:
        path.unlink(missing_ok=True)
        raise RunError(f"ffmpeg cannot write {path}: {last_line(done.stderr)}", hint="`--to h264` needs no ffmpeg")
