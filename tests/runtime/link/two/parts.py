"""Two computers: `box` publishes, `car` reads over a link."""

from __future__ import annotations

import numpy as np

from cardan.runtime.messages import CameraFrame, Message
from cardan.runtime.node import Input, Metric, Node, Output


class Pose(Message, frozen=True, kw_only=True):
    number: int
    stamp_ns: int


class Lidar(Node):
    """Counts, and shows a picture now and then."""

    rate_hz = 100.0
    pose = Output(Pose)
    frame = Output(CameraFrame)
    number = 0

    def step(self) -> None:
        self.number += 1
        self.pose.send(Pose(number=self.number, stamp_ns=self.clock.now_ns()))
        if self.number % 20 == 0:
            with self.frame.slot((240, 320, 3), np.uint8) as image:
                image[...] = self.number // 20 % 256
            self.frame.send(CameraFrame(frame_id=self.number // 20, image=image))


class Reader(Node):
    """Says how old what it reads is, and whether it may be used."""

    rate_hz = 100.0
    pose = Input(Pose, max_age_s=2.0)
    frames = Input(CameraFrame, queue=100)
    age_s = Metric("s")
    stamp_age_s = Metric("s")
    usable = Metric("steps")
    unusable = Metric("steps")
    right_frames = Metric("frames")
    wrong_frames = Metric("frames")

    def step(self) -> None:
        if self.pose.valid:
            self.usable.observe(1)
            self.age_s.observe(self.pose.age_s)
            self.stamp_age_s.observe((self.clock.now_ns() - self.pose.value.stamp_ns) / 1e9)
        else:
            self.unusable.observe(1)
        for sample in self.frames.take():
            right = np.all(sample.value.image == sample.value.frame_id % 256)
            (self.right_frames if right else self.wrong_frames).observe(1)
