"""A small recording for tests of what reads recordings: frames of a bus, and pictures between them where wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cardan.runtime.messages import CameraFrame, CanFrame, CanFrames, Message
from cardan.runtime.record.files import recording_path
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.record.settings import RecorderConfig
from cardan.runtime.testing import Bench

STEPS = 200
FRAMES: dict[str, type[Message]] = dict.fromkeys(
    ("can/frames", "late/frames", "seldom/frames", "never/frames"), CanFrames
)
PICTURES: dict[str, type[Message]] = {"camera/frame": CameraFrame}
NO_POWER_CUT = RecorderConfig(sync_s=3600)


def small_recording(folder: Path, *, pictures: bool = False) -> Path:
    """Twenty seconds, ten steps each: a topic of each step, one that begins after five seconds, one that comes once in
    five, one that never comes. pictures: before the frames of each step, in the same chunks.
    """
    with Bench(Recorder, config=NO_POWER_CUT, data_dir=folder, topics=FRAMES | PICTURES) as bench:
        for step in range(STEPS):
            for topic, message in _messages(step, pictures):
                bench.send("everything", message, topic=topic)
            bench.step()
            assert bench.node.settle()  # nothing is left to the time that the recorder has when it closes
    return recording_path(folder, "bench")


def _messages(step: int, pictures: bool) -> list[tuple[str, Message]]:
    frame = CanFrame("main", step, bytes(8), 1)
    found: list[tuple[str, Message]] = [("can/frames", CanFrames(frames=[frame]))]
    if pictures:
        found.append(("camera/frame", CameraFrame(frame_id=step, image=np.full((8, 8, 3), step, np.uint8))))
    if step >= 50:
        found.append(("late/frames", CanFrames(frames=[frame])))
    if step % 50 == 20:
        found.append(("seldom/frames", CanFrames(frames=[frame, frame])))
    return found
