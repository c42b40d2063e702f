"""Nodes for the bench of the recorder: what a vehicle says, at given rates, and a loop that knows how late it was."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np

from cardan.runtime.messages import CameraFrame, Message
from cardan.runtime.node import Node, NodeConfig, Output


class Reading(Message, frozen=True, kw_only=True):
    """What a small sensor says."""

    stamp_ns: int
    counter: int
    value: float
    rate_radps: tuple[float, float, float]
    accel_mps2: tuple[float, float, float]
    temp_c: float
    status: str


class Sensor(Node):
    """Says something small."""

    rate_hz = 100.0
    reading = Output(Reading)
    _counter = 0

    def step(self) -> None:
        self._counter += 1
        x = math.sin(self._counter * 0.01)
        self.reading.send(
            Reading(
                stamp_ns=self.clock.now_ns(),
                counter=self._counter,
                value=x,
                rate_radps=(x, -x, x * x),
                accel_mps2=(0.1 * x, 9.81, x),
                temp_c=20.0 + x,
                status="ok",
            )
        )


class WideCamera(Node):
    """Pictures of 1920 x 1080, 6.2 MB each, filled in place."""

    rate_hz = 33.0
    frame = Output(CameraFrame)
    _number = 0

    def open(self) -> None:
        self._pattern = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)

    def step(self) -> None:
        self._number += 1
        with self.frame.slot((1080, 1920, 3), np.uint8) as image:
            np.copyto(image, self._pattern)
            image[0, 0, 0] = self._number % 256
        self.frame.send(CameraFrame(frame_id=self._number, image=image))


class BeatConfig(NodeConfig, frozen=True):
    """file: gets the moments at which it was stepped."""

    file: str


class Beat(Node):
    """A control loop that does next to nothing, and keeps when it was stepped."""

    config: BeatConfig
    rate_hz = 500.0
    reading = Output(Reading)

    def open(self) -> None:
        self._stamps_ns: list[int] = []

    def step(self) -> None:
        now_ns = time.monotonic_ns()
        self._stamps_ns.append(now_ns)
        count = len(self._stamps_ns)
        zeros = (0.0, 0.0, 0.0)
        self.reading.send(
            Reading(
                stamp_ns=now_ns,
                counter=count,
                value=0.5,
                rate_radps=zeros,
                accel_mps2=zeros,
                temp_c=20.0,
                status="ok",
            )
        )

    def close(self) -> None:
        Path(self.config.file).write_text(json.dumps(self._stamps_ns))
