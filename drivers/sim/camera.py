"""The camera of the simulated vehicle: renders the newest truth into a shared-memory frame."""

from __future__ import annotations

import numpy as np

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.render import Renderer
from cardan.drivers.sim.scene import scene_of
from cardan.drivers.sim.style import Style
from cardan.drivers.sim.world import FRONT_BUMPER_M
from cardan.runtime.messages import CameraCalibration, CameraFrame, SimTruth
from cardan.runtime.node import Input, Node, NodeConfig, Output


class SimCameraConfig(NodeConfig, frozen=True):
    """Settings of the simulated camera. The road network knows the default mounting only."""

    model: CameraModel = CameraModel()
    """Where it sits and how it sees."""


class SimCamera(Node):
    """Takes a picture of the simulated world at `rate_hz`, as long as the world is alive.

    `origin_ns` of a frame is the moment at which the node took the truth: the exposure of a real camera.
    """

    config: SimCameraConfig
    rate_hz = 20.0
    truth = Input(SimTruth, max_age_s=0.1)
    frame = Output(CameraFrame)
    calibration = Output(CameraCalibration, latched=True)

    def open(self) -> None:
        self._renderer = Renderer(self.config.model, Style())
        self._frame_id = 0
        self._has_said_how = False

    def step(self) -> None:
        if not self.truth.fresh:
            return
        captured_ns = self.clock.now_ns()
        if not self._has_said_how:
            self.calibration.send(calibration_of(self.config.model))
            self._has_said_how = True
        scene = scene_of(self.truth.value)
        with self.frame.slot((self.config.model.height, self.config.model.width, 3), np.uint8) as image:
            self._renderer.render(scene, image)
        self.frame.send(CameraFrame(frame_id=self._frame_id, image=image), origin_ns=captured_ns)
        self._frame_id += 1


def calibration_of(model: CameraModel) -> CameraCalibration:
    """The model as other programs know it."""
    return CameraCalibration(
        width_px=model.width,
        height_px=model.height,
        focal_x_px=model.focal_px,
        focal_y_px=model.focal_px,
        centre_x_px=model.width / 2.0,
        centre_y_px=model.height / 2.0,
        x_m=model.x_m,
        y_m=0.0,
        z_m=model.height_m,
        pitch_rad=model.pitch_rad,
        front_bumper_x_m=FRONT_BUMPER_M,
    )
