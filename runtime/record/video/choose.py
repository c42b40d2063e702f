"""Which encoder this computer has: found, asked for its list, and tried with a few pictures before it is trusted.

`ffmpeg -encoders` lists what was built in, not what the computer can do: h264_nvenc without a card is in the list.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cardan.runtime.errors import ConfigError, DeviceError, near_names
from cardan.runtime.profile import VideoSettings
from cardan.runtime.record.video.annexb import Splitter
from cardan.runtime.record.video.commands import ENCODERS, Shape, Wish, ffmpeg_words, own_words

Words = Callable[[Shape, Wish], list[str]]

TRIAL = Shape(320, 240, 3)
"""Hardware has least sizes; all that is known takes this one."""
TRIAL_PICTURES = 6
TRIAL_LIMIT_S = 5.0
DEVICES = {"h264_nvenc": "nvidia[0-9]*", "h264_v4l2m2m": "video[0-9]*"}
"""Below /dev: what is not there need not be tried."""
_LISTED = re.compile(r"^ V\S{5} ([^=\s]\S*)", re.MULTILINE)
HINT = "`ffmpeg -encoders | grep 264`; [video] of the profile names an encoder or a command"


class Choice(NamedTuple):
    """An encoder that gave a picture for each picture."""

    name: str
    """For people."""
    words: Words
    """Its command line."""


def choose(settings: VideoSettings) -> Choice:
    """The encoder that the profile names, or the first that works. Blocks for up to 5 s for each that is tried.

    DeviceError when none does: what was tried, and how each ended.
    """
    failures = []
    for candidate in _candidates(settings):
        failure = trial(candidate.words(TRIAL, Wish(20.0, 1000, 1.0)))
        if not failure:
            return candidate
        failures.append(f"{candidate.name} {failure}")
    raise DeviceError(f"nothing encodes H.264 here: {'; '.join(failures)}", hint=HINT)


def _candidates(settings: VideoSettings) -> list[Choice]:
    if settings.command:
        template = _found(settings.command)
        return [Choice(settings.command[0], lambda shape, wish: own_words(template, shape, wish))]
    program = shutil.which("ffmpeg")
    if program is None:
        raise DeviceError("nothing encodes H.264 here: there is no ffmpeg on this computer", hint=HINT)
    listed = listed_encoders(program)
    if settings.encoder != "auto" and settings.encoder not in listed:
        known = [name for name in listed if "264" in name]
        raise DeviceError(f'{program} has no encoder "{settings.encoder}"', hint=near_names(settings.encoder, known))
    wanted = [settings.encoder]
    if settings.encoder == "auto":
        wanted = [name for name in ENCODERS if name in listed and _has_device(name, settings.device)]
    if not wanted:
        raise DeviceError(f"{program} has no encoder for H.264 that this computer could use", hint=HINT)
    return [Choice(f"{name} of {program}", _ffmpeg(program, name, settings.device)) for name in wanted]


def _has_device(encoder: str, device: str) -> bool:
    if encoder == "h264_vaapi":
        return Path(device).exists()
    return encoder not in DEVICES or any(Path("/dev").glob(DEVICES[encoder]))


def _found(command: Sequence[str]) -> list[str]:
    program = shutil.which(command[0])
    if program is None:
        raise DeviceError(f'there is no program "{command[0]}" on this computer', hint="[video] command names it")
    return [program, *command[1:]]


def _ffmpeg(program: str, encoder: str, device: str) -> Words:
    return lambda shape, wish: ffmpeg_words(program, encoder, shape, wish, device)


def listed_encoders(program: str) -> list[str]:
    """What `ffmpeg -encoders` lists; DeviceError when it does not answer."""
    try:
        done = subprocess.run(
            [program, "-hide_banner", "-encoders"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TRIAL_LIMIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(f"{program} does not say what it encodes: {error}", hint="is it an ffmpeg?") from error
    return _LISTED.findall(done.stdout)


def trial(words: Sequence[str]) -> str:
    """How an encoder fails with a few pictures; empty: it gives one for each, the first of which stands for itself."""
    pictures = b"".join(bytes([40 * number]) * TRIAL.frame_bytes for number in range(TRIAL_PICTURES))
    try:
        done = subprocess.run(words, input=pictures, capture_output=True, timeout=TRIAL_LIMIT_S, check=False)
        splitter = Splitter()
        units = [*splitter.feed(done.stdout), *splitter.end()]
    except subprocess.TimeoutExpired:
        return f"took more than {TRIAL_LIMIT_S:g} s"
    except (OSError, ValueError, ConfigError) as error:
        return f"fails: {error}"
    if len(units) == TRIAL_PICTURES and units[0].keyframe:
        return ""
    said = last_line(done.stderr)
    return f"gave {len(units)} of {TRIAL_PICTURES} pictures{f' ({said})' if said else ''}"


def last_line(said: bytes) -> str:
    """What a program said last, in one line."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
