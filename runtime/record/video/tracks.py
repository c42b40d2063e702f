"""The topics that are kept as H.264: which they are, their encoders, and what becomes of their pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, NamedTuple

import numpy as np

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.errors import CardanError
from cardan.runtime.messages import type_name
from cardan.runtime.profile import VideoSettings
from cardan.runtime.record.picture import is_picture
from cardan.runtime.record.picture_message import own_json
from cardan.runtime.record.pixel_memory import PixelMemory
from cardan.runtime.record.policy import Place, TopicPolicy, policy_of
from cardan.runtime.record.video.child import Coded, Frame
from cardan.runtime.record.video.choose import Choice, choose
from cardan.runtime.record.video.commands import Shape, Wish
from cardan.runtime.record.video.encoder import USUAL, Encoder, Limits

USUAL_RATE_HZ = 20.0
"""Of a camera whose rate nobody says; encoders only share out their bits by it."""


class Track(NamedTuple):
    """One topic."""

    topic: str
    type_name: str
    place: Place
    encoder: Encoder


class Tracks:
    """For the thread of the recorder, which it never makes wait, but in `close`.

    rate_of: pictures a second of a topic, 0 where it is not known. trouble: see Encoder; called in other threads.
    """

    def __init__(
        self,
        policies: Mapping[str, TopicPolicy],
        settings: VideoSettings,
        rate_of: Callable[[str], float],
        *,
        limit_bytes: int,
        trouble: Callable[[str, str], None],
        limits: Limits = USUAL,
    ) -> None:
        self._policies = policies
        self._rate_of = rate_of
        self._limit_bytes = limit_bytes
        self._trouble = trouble
        self._limits = limits
        self._tracks: dict[str, Track | None] = {}
        self._memory = PixelMemory()
        self._chosen = Once(lambda: choose(settings))
        self._resized: set[str] = set()
        self.any = any(policy.frames == "h264" for policy in policies.values())
        """Whether there is any such topic."""
        if self.any:
            Thread(target=self._chosen.prepare, name="cardan-choose", daemon=True).start()

    def offer(self, place: Place, sample: Sample[Any]) -> bool:
        """Whether the picture in this sample is encoded now; False: it is no such topic, or its encoder is away."""
        topic = sample.topic
        if topic not in self._tracks:
            self._tracks[topic] = self._begun(place, sample)
        track = self._tracks[topic]
        if track is None or not is_picture(sample.value) or self._is_resized(track, sample.value.image):
            return False
        envelope = {"origin_ns": sample.origin_ns, "valid": sample.valid, "epoch": sample.epoch}
        own, pixels = own_json(sample.value, envelope), self._memory.copy(sample.value.image)
        return track.encoder.offer(Frame(sample.seq, sample.sent_ns, sample.origin_ns, own, pixels))

    def keeps_nothing_else(self, sample: Sample[Any]) -> bool:
        """Whether a picture that is not encoded is not kept at all."""
        if self._tracks.get(sample.topic) is None:
            return False
        return policy_of(sample.topic, self._policies).fallback == "none" and is_picture(sample.value)

    def take(self) -> list[tuple[Track, Coded]]:
        """Every picture that was encoded since the last call."""
        return [(track, coded) for track in self._live() for coded in track.encoder.take()]

    def lost(self) -> int:
        """Pictures that were taken and will not come out, since the beginning."""
        return sum(track.encoder.counts().lost for track in self._live())

    def close(self, timeout_s: float) -> bool:
        """Let all programs end; False when one had to be cut off. `take` has the last pictures then."""
        tracks = self._live()
        for track in tracks:
            track.encoder.begin_close()
        return all([track.encoder.close(timeout_s) for track in tracks])

    def _is_resized(self, track: Track, image: np.ndarray) -> bool:
        """Whether a picture has not the size that its stream began with; said once."""
        shape, first = shape_of(image), track.encoder.shape
        if shape == first:
            return False
        if track.topic not in self._resized:
            self._resized.add(track.topic)
            sizes = f"{shape.width}x{shape.height}, and its stream {first.width}x{first.height}"
            self._trouble(track.topic, f"a picture has {sizes}; the next run begins with the new size")
        return True

    def _live(self) -> list[Track]:
        return [track for track in self._tracks.values() if track is not None]

    def _begun(self, place: Place, sample: Sample[Any]) -> Track | None:
        topic = sample.topic
        policy = policy_of(topic, self._policies)
        if policy.frames != "h264" or not is_picture(sample.value):
            return None
        rate_hz = policy.rate_hz or self._rate_of(topic) or USUAL_RATE_HZ
        encoder = Encoder(
            shape_of(sample.value.image),
            Wish(rate_hz, policy.kbps, policy.keyframe_s),
            self._chosen.get,
            limit_bytes=self._limit_bytes,
            trouble=lambda reason: self._trouble(topic, reason),
            limits=self._limits,
        )
        return Track(topic, type_name(type(sample.value)), place, encoder)


class Once:
    """A choice that is made once for all encoders, and again after it failed."""

    def __init__(self, make: Callable[[], Choice]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: Choice | None = None

    def prepare(self) -> None:
        """Make it before it is needed, if it can be made."""
        with suppress(CardanError):
            self.get()

    def get(self) -> Choice:
        """The choice; what `make` raises passes through."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


def shape_of(image: np.ndarray) -> Shape:
    """Of a picture as `is_picture` takes it."""
    return Shape(image.shape[1], image.shape[0], 1 if image.ndim == 2 else image.shape[2])
