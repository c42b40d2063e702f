"""Small nodes for the broken manifests beside this file."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cardan.runtime.messages import ActuatorCommand, AnyMessage, CameraFrame, CanFrames, RoadView, VehicleState
from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output


class CameraConfig(NodeConfig, frozen=True):
    width: Annotated[int, msgspec.Meta(ge=16)] = 640
    exposure_s: float = 0.01


class Camera(Node):
    config: CameraConfig
    rate_hz = 20.0
    frame = Output(CameraFrame)

    def step(self) -> None:
        pass


class Engine(Node):
    stepped_by = "frame"
    frame = Input(CameraFrame)
    view = Output(RoadView)

    def step(self) -> None:
        pass


class CanConfig(NodeConfig, frozen=True):
    channels: tuple[str, ...] = ()


class Can(Node):
    config: CanConfig
    rate_hz = 100.0
    frames = Output(CanFrames)

    def step(self) -> None:
        pass


class State(Node):
    stepped_by = "frames"
    frames = Input(CanFrames, queue=100)
    vehicle = Output(VehicleState)

    def step(self) -> None:
        pass


class Control(Node):
    rate_hz = 100.0
    view = Input(RoadView, max_age_s=0.2)
    state = Input(VehicleState, max_age_s=0.05, optional=True)
    command = Output(ActuatorCommand)
    error = Metric("m")

    def step(self) -> None:
        pass


class Bridge(Node):
    rate_hz = 100.0
    command = Input(ActuatorCommand, max_age_s=0.03)
    sent = Output(CanFrames)

    def step(self) -> None:
        pass


class Recorder(Node):
    rate_hz = 10.0
    everything = Input(AnyMessage, queue=100, many=True)

    def step(self) -> None:
        pass


class Echo(Node):
    """Steps on its input and sends the same type, so that two of them can go round in a circle."""

    stepped_by = "heard"
    heard = Input(CanFrames)
    said = Output(CanFrames)

    def step(self) -> None:
        pass


class Rateless(Node):
    out = Output(CanFrames)

    def step(self) -> None:
        pass


class Misnamed(Node):
    stepped_by = "fram"
    frame = Input(CameraFrame)

    def step(self) -> None:
        pass


class Plain:
    """Not a node."""
