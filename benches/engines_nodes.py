"""Nodes and an engine for the benches of the engine host: a camera, and one that waits for the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cardan.engines.backends.backend import Arrays
from cardan.engines.engine import Engine
from cardan.runtime.messages import CameraFrame, EngineResult
from cardan.runtime.node import Input, Node, NodeConfig, Output
from cardan.runtime.plan import ANY_INPUT

NV12_720P = (1080, 1280)
"""720 rows of brightness, 360 of colour."""
STRIDE = 65_536


class Number(EngineResult, frozen=True, kw_only=True):
    """One number."""

    number: float = 0.0


class NumberEngine(Engine[CameraFrame, Number]):
    """Looks at a few bytes all over a frame."""

    takes, gives = CameraFrame, Number

    def fill(self, frame: CameraFrame, inputs: Arrays) -> None:
        inputs["pixel"][0] = frame.image.reshape(-1)[::STRIDE].max()

    def data(self, outputs: Arrays) -> dict[str, Any]:
        return {"number": float(outputs["number"][0])}


class Camera(Node):
    """Writes RGB pictures into shared memory at its rate."""

    rate_hz = 20.0
    frame = Output(CameraFrame)
    _number = 0

    def step(self) -> None:
        self._number += 1
        with self.frame.slot((360, 640, 3), np.uint8) as image:
            image[:] = self._number % 256
        self.frame.send(CameraFrame(frame_id=self._number, image=image))


class PingerConfig(NodeConfig, frozen=True):
    """Settings."""

    path: str
    """Where the round trips are written at the end, pairs in nanoseconds."""


class Pinger(Node):
    """Copies a frame into shared memory, and measures the time until the answer is there, less the run itself: from the
    beginning of the copy, and from its end. Each answer is followed by the next frame."""

    config: PingerConfig
    rate_hz = 100.0
    stepped_by = ANY_INPUT
    answer = Input(Number)
    frame = Output(CameraFrame)

    def open(self) -> None:
        self._picture = np.arange(NV12_720P[0] * NV12_720P[1], dtype=np.uint32).astype(np.uint8).reshape(NV12_720P)
        self._trips_ns: list[tuple[int, int]] = []
        self._number = 0
        self._begin_ns = self._sent_ns = 0

    def step(self) -> None:
        if self.answer.new:
            answer = self.answer.value
            if answer.frame_id == self._number and answer.status == "ok":
                run_ns, now_ns = answer.end_ns - answer.start_ns, self.clock.now_ns()
                self._trips_ns.append((now_ns - self._begin_ns - run_ns, now_ns - self._sent_ns - run_ns))
        self._number += 1
        self._begin_ns = self.clock.now_ns()
        with self.frame.slot(NV12_720P, np.uint8) as image:
            np.copyto(image, self._picture)
        self._sent_ns = self.clock.now_ns()
        self.frame.send(CameraFrame(frame_id=self._number, image=image), origin_ns=self._begin_ns)

    def close(self) -> None:
        Path(self.config.path).write_text(json.dumps(self._trips_ns))
