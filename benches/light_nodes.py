"""Light nodes for the benches of supervision: they publish a running number and pictures, and read them."""

from __future__ import annotations

import numpy as np

from cardan.runtime.messages import CameraFrame, Message
from cardan.runtime.node import Input, Node, Output


class Tick(Message, frozen=True, kw_only=True):
    """A running number."""

    number: int


class Source(Node):
    """Publishes."""

    tick = Output(Tick)
    _number = 0

    def step(self) -> None:
        self._number += 1
        self.tick.send(Tick(number=self._number))


class Sink(Node):
    """Reads."""

    tick = Input(Tick, max_age_s=None)

    def step(self) -> None:
        return


class Eye(Node):
    """Publishes pictures, which lie in shared memory."""

    frame = Output(CameraFrame)
    _number = 0

    def step(self) -> None:
        self._number += 1
        with self.frame.slot((240, 320, 3), np.uint8) as image:
            image[:] = self._number % 256
        self.frame.send(CameraFrame(frame_id=self._number, image=image))


class Viewer(Node):
    """Looks at pictures."""

    frame = Input(CameraFrame, max_age_s=None)
    brightness = 0

    def step(self) -> None:
        picture = self.frame.value_or_none
        if picture is not None:
            self.brightness = int(picture.image[0, 0, 0])


class Burst(Node):
    """Publishes 50 messages a step: what they cost is then most of what the step costs."""

    tick = Output(Tick)
    _number = 0

    def step(self) -> None:
        for _ in range(50):
            self._number += 1
            self.tick.send(Tick(number=self._number))


class Alternating(Node):
    """Steps all the time, and publishes in every second period of PHASE_NS only, from half a period after its start."""

    PHASE_NS = 1_000_000_000
    tick = Output(Tick)
    _number = 0
    _change_ns = 0

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        self._change_ns = self._change_ns or now_ns + self.PHASE_NS // 2
        if (now_ns - self._change_ns) // self.PHASE_NS % 2:
            self._number += 1
            self.tick.send(Tick(number=self._number))
