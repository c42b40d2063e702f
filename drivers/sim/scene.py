"""What stands where ahead of the camera, in the vehicle frame; nothing in it knows about pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cardan.runtime.messages import SimTruth

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Car:
    """A car ahead: the middle of its rear bumper in the vehicle frame."""

    x_m: float
    y_m: float
    heading_rad: float = 0.0
    colour: int = 0
    """Number of a colour; it wraps round."""
    size: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the camera looks at."""

    centre_x_m: Floats
    centre_y_m: Floats
    road_s_m: float
    heading_rad: float
    """Ours, in the world."""
    cars: tuple[Car, ...] = ()


class RoadAhead(NamedTuple):
    """The lane centre at some distances ahead."""

    y_m: Floats
    slope: Floats
    s_m: Floats
    """Distance along the road."""


def scene_of(truth: SimTruth) -> Scene:
    """The scene that `truth` describes."""
    lead = Car(x_m=truth.lead_x_m, y_m=truth.lead_y_m, heading_rad=truth.lead_heading_rad)
    return Scene(
        centre_x_m=np.asarray(truth.centre_x_m),
        centre_y_m=np.asarray(truth.centre_y_m),
        road_s_m=truth.road_s_m,
        heading_rad=truth.heading_rad,
        cars=(lead,) if truth.lead_present else (),
    )


def road_at(scene: Scene, x_m: Floats) -> RoadAhead:
    """The lane centre at the distances `x_m`; beyond the last station it goes on straight."""
    slope, along = _shape(scene)
    last = scene.centre_x_m[-1]
    beyond = np.maximum(x_m - last, 0.0)
    y_m = np.interp(x_m, scene.centre_x_m, scene.centre_y_m) + beyond * slope[-1]
    s_m = np.interp(x_m, scene.centre_x_m, along) + beyond * np.hypot(1.0, slope[-1])
    return RoadAhead(y_m, np.interp(x_m, scene.centre_x_m, slope), s_m)


def place_beside(scene: Scene, s_m: Floats, offset_m: Floats) -> tuple[Floats, Floats]:
    """(x, y) of things that stand `offset_m` to the left of the lane centre at distances `s_m` along the road."""
    slope, along = _shape(scene)
    x_m, y_m = np.interp(s_m, along, scene.centre_x_m), np.interp(s_m, along, scene.centre_y_m)
    angle = np.arctan(np.interp(x_m, scene.centre_x_m, slope))
    return x_m - offset_m * np.sin(angle), y_m + offset_m * np.cos(angle)


def _shape(scene: Scene) -> tuple[Floats, Floats]:
    """(slope, distance along the road) of the lane centre at each station."""
    slope = np.gradient(scene.centre_y_m, scene.centre_x_m)
    steps = np.hypot(np.diff(scene.centre_x_m), np.diff(scene.centre_y_m))
    return slope, scene.road_s_m + scene.centre_x_m[0] + np.concatenate([[0.0], np.cumsum(steps)])
