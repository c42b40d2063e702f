"""Does this computer encode the pictures that are to be kept as H.264? Tried with a few, before a drive."""

from __future__ import annotations

import msgspec

from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.errors import DeviceError
from cardan.runtime.plan import Plan

RECORDER = "cardan.runtime.record.recorder:Recorder"
LIMIT_S = 6.0
"""Of the encoders that a computer has devices for, each is tried for half a second, or until it hangs."""


class _Policy(msgspec.Struct, frozen=True):
    frames: str = "jpeg"


class _RecorderSettings(msgspec.Struct, frozen=True):
    topics: dict[str, _Policy] = {}


def video(subject: Subject) -> Result:
    """An encoder gives a picture for each picture."""
    if subject.plan is None:
        return unknown("the manifest has findings", "cardan check")
    wanted = _wanted(subject.plan)
    if not wanted:
        return passed("no topic is kept as H.264")
    from cardan.runtime.record.video.choose import choose

    try:
        choice = choose(subject.profile.video)
    except DeviceError as error:
        return failed(f"{', '.join(wanted)}: {error.message}", error.hint or "[video] of the profile")
    return passed(f"{', '.join(wanted)}: {choice.name}")


def _wanted(plan: Plan) -> list[str]:
    recorders = [node.config for node in plan.nodes if node.use == RECORDER]
    settings = [msgspec.convert(config, _RecorderSettings) for config in recorders]
    return [name for item in settings for name, policy in item.topics.items() if policy.frames == "h264"]


CHECKS = (Check("vehicle.video", "are pictures encoded as H.264?", video, limit_s=LIMIT_S),)
