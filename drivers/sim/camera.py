"""The camera of the simulated vehicle: renders the newest truth into a shared-memory frame."""

from __future__ import annotations

import numpy as np

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.render import Renderer
from cardan.drivers.sim.scene import scene_of
from cardan.drivers.sim.style import Style
from cardan.runtime.messages import CameraFrame, SimTruth
from cardan.runtime.node import Input, Node, NodeConfig, Output


class SimCameraConfig(NodeConfig, frozen=True):
    """Settings of the simulated camera. The road network knows the default mounting only."""

    model: CameraModel = CameraModel()


class SimCamera(Node):
    """Takes a picture of the simulated world at `rate_hz`, as long as the world is alive.

    `origin_ns` of a frame is the moment at which the node took the truth: the exposure of a real camera.
    """

    config: SimCameraConfig
    rate_hz = 20.0
    truth = Input(SimTruth, max_age_s=0.1)
    frame = Output(CameraFrame)

    def open(self) -> None:
        self._renderer = Renderer(self.config.model, Style())
        self._frame_id = 0

    def step(self) -> None:
        if not self.truth.fresh:
            return
        captured_ns = self.clock.now_ns()
        scene = scene_of(self.truth.value)
        with self.frame.slot((self.config.model.height, self.config.model.width, 3), np.uint8) as image:
            self._renderer.render(scene, image)
        self.frame.send(CameraFrame(frame_id=self._frame_id, image=image), origin_ns=captured_ns)
        self._frame_id += 1
