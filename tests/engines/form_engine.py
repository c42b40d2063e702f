"""Engines and a camera for tests of shared inputs, as a user would write them beside the manifest."""

from typing import Any, ClassVar

import numpy as np

from cardan.engines.backends.backend import Arrays
from cardan.engines.engine import Engine, EngineConfig
from cardan.engines.model import Model
from cardan.runtime.messages import CameraFrame, EngineResult
from cardan.runtime.node import Node, Output


class Camera(Node):
    """Each picture has one colour: its own number."""

    rate_hz = 20.0
    frame = Output(CameraFrame)
    _number = 0

    def step(self) -> None:
        self._number += 1
        image = np.full((1, 1, 3), self._number, np.uint8)
        self.frame.send(CameraFrame(frame_id=self._number, image=image))


class FormConfig(EngineConfig, frozen=True):
    """Settings."""

    form: str | None = None


class FormEngine(Engine[CameraFrame, EngineResult]):
    """Fills its input with the colour of the picture, and remembers that it did."""

    takes, gives = CameraFrame, EngineResult
    config: FormConfig
    filled: ClassVar[list[int]] = []

    def __init__(self, model: Model, config: FormConfig) -> None:
        super().__init__(model, config)
        self.form = config.form

    def fill(self, frame: CameraFrame, inputs: Arrays) -> None:
        inputs["pixel"][0] = frame.image[0, 0, 0]
        self.filled.append(frame.frame_id)

    def data(self, outputs: Arrays) -> dict[str, Any]:
        return {}


class OtherEngine(FormEngine):
    """Has another way to fill."""

    def fill(self, frame: CameraFrame, inputs: Arrays) -> None:
        super().fill(frame, inputs)
        inputs["pixel"][0] = 255 - inputs["pixel"][0]
