"""What of each topic is kept: all, some messages a second, only around triggers, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec

from cardan.runtime.clock import ns


class TopicPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `topics.NAME` table of the recorder's settings."""

    keep: Literal["all", "trigger", "none"] = "all"
    """all: in the recording of the run and in every clip. trigger: in clips only. none: nowhere."""
    rate_hz: Annotated[float, msgspec.Meta(gt=0, le=10_000)] | None = None
    """The recording of the run has at most so many messages a second; clips have all of them, but of h264."""
    frames: Literal["jpeg", "raw", "h264"] = "jpeg"
    """How the pictures of a camera topic are kept. h264: by the encoder of the computer ([video] of the profile)."""
    kbps: Annotated[int, msgspec.Meta(ge=100, le=500_000)] = 4000
    """h264: thousands of bits a second."""
    keyframe_s: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0
    """h264: so often a picture stands for itself, and whoever reads can begin there."""
    fallback: Literal["jpeg", "raw", "none"] = "jpeg"
    """h264: how pictures are kept while the encoder is away."""

    def keeps_pixels(self) -> bool:
        """Whether pictures that no encoder takes are kept as they are."""
        return self.frames == "raw" or (self.frames == "h264" and self.fallback == "raw")


class Place(Enum):
    """Where a message goes."""

    RUN = "run"
    """Into the recording of the run, and into clips."""
    CLIPS = "clips"
    NOWHERE = "nowhere"


DEFAULT = TopicPolicy()


def policy_of(topic: str, policies: Mapping[str, TopicPolicy]) -> TopicPolicy:
    """The policy with the topic's own name, else the first whose pattern fits, else: keep all."""
    if topic in policies:
        return policies[topic]
    return next((policy for pattern, policy in policies.items() if fnmatchcase(topic, pattern)), DEFAULT)


def keyframe_lead_s(policies: Mapping[str, TopicPolicy]) -> float:
    """How much earlier a clip has to begin, so that the first picture that was wanted can be decoded."""
    return max((policy.keyframe_s for policy in policies.values() if policy.frames == "h264"), default=0.0)


class Sorter:
    """Says where each message goes. clips: whether there are any, so that something is kept for them."""

    def __init__(self, policies: Mapping[str, TopicPolicy], *, clips: bool) -> None:
        self._policies = policies
        self._beside = Place.CLIPS if clips else Place.NOWHERE
        self._known: dict[str, tuple[Place, Place, int]] = {}
        self._slots: dict[str, int] = {}

    def place(self, topic: str, sent_ns: int) -> Place:
        """Where the message of this topic goes that was sent at `sent_ns`."""
        known = self._known.get(topic)
        if known is None:
            known = self._known[topic] = self._look_up(topic)
        place, beside, period_ns = known
        if not period_ns:
            return place
        slot = sent_ns // period_ns
        if self._slots.get(topic) == slot:
            return beside
        self._slots[topic] = slot
        return place

    def _look_up(self, topic: str) -> tuple[Place, Place, int]:
        policy = policy_of(topic, self._policies)
        place = {"all": Place.RUN, "trigger": self._beside, "none": Place.NOWHERE}[policy.keep]
        beside = Place.NOWHERE if policy.frames == "h264" else self._beside  # a stream is one and the same everywhere
        return place, beside, ns(1 / policy.rate_hz) if policy.rate_hz and place is Place.RUN else 0
