"""The command lines of encoders: raw pictures on standard input, H.264 in Annex B on standard output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cardan.runtime.errors import ConfigError, near_names

ENCODERS: dict[str, tuple[str, ...]] = {
    "h264_nvenc": ("-zerolatency", "1", "-delay", "0", "-forced-idr", "1"),
    "h264_v4l2m2m": (),
    "h264_vaapi": (),
    "libopenh264": ("-rc_mode", "bitrate", "-allow_skip_frames", "0"),
    "libx264": ("-preset", "veryfast", "-tune", "zerolatency"),
}
"""Encoders of ffmpeg in the order in which they are tried, hardware first; and what makes each give a picture at once.

docs/recording.md has their licences.
"""
FILTERS = "dump_extra=freq=keyframe,h264_metadata=aud=insert"
"""Parameter sets before each keyframe, so that a decoder can begin there, and a delimiter before each picture."""
EVEN = "pad=w=ceil(iw/2)*2:h=ceil(ih/2)*2"
"""Colours are kept for squares of four pixels."""
_PLACE = re.compile(r"\{([a-z_]+)\}")


class Shape(NamedTuple):
    """Pictures of a topic: uint8, RGB or grey, row by row."""

    width: int
    height: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        return self.width * self.height * self.channels


class Wish(NamedTuple):
    """What a stream should be."""

    rate_hz: float
    kbps: int
    keyframe_s: float

    @property
    def keyframe_frames(self) -> int:
        return max(1, round(self.rate_hz * self.keyframe_s))


def ffmpeg_words(program: str, encoder: str, shape: Shape, wish: Wish, device: str) -> list[str]:
    """ffmpeg with one of its encoders. device: of `h264_vaapi`."""
    raw = ["-f", "rawvideo", "-pixel_format", "rgb24" if shape.channels == 3 else "gray"]
    raw += ["-video_size", f"{shape.width}x{shape.height}", "-framerate", f"{wish.rate_hz:g}", "-i", "pipe:0"]
    hardware = encoder == "h264_vaapi"
    pixels = f"{EVEN},format=nv12,hwupload" if hardware else f"{EVEN},format=yuv420p"
    rate = ["-b:v", f"{wish.kbps}k", "-g", str(wish.keyframe_frames), "-bf", "0"]
    return [
        *(program, "-hide_banner", "-loglevel", "error", "-nostdin"),
        *(("-vaapi_device", device) if hardware else ()),
        *raw,
        *("-vf", pixels, "-an", "-c:v", encoder),
        *ENCODERS.get(encoder, ()),
        *rate,
        *("-bsf:v", FILTERS, "-flush_packets", "1", "-f", "h264", "pipe:1"),
    ]


def own_words(template: Sequence[str], shape: Shape, wish: Wish) -> list[str]:
    """A command of the profile with its places filled in; ConfigError for a place that nothing is known for."""
    known = {
        "width": shape.width,
        "height": shape.height,
        "format": "rgb" if shape.channels == 3 else "gray8",
        "frame_bytes": shape.frame_bytes,
        "rate": max(1, round(wish.rate_hz)),
        "kbps": wish.kbps,
        "bps": wish.kbps * 1000,
        "keyframe_frames": wish.keyframe_frames,
    }

    def fill(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in known:
            raise ConfigError(f"[video] command: unknown place {{{name}}}", hint=near_names(name, list(known)))
        return str(known[name])

    return [_PLACE.sub(fill, word) for word in template]
