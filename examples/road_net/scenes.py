"""Random labelled scenes from the simulated camera, as the network will see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.render import Renderer
from cardan.drivers.sim.road import LANE_WIDTH_M, Road, beside, build_road, centre_ahead, heading, highway_pieces
from cardan.drivers.sim.scene import Car, Floats, Scene
from cardan.drivers.sim.style import Style, random_style
from cardan.drivers.sim.world import FRONT_BUMPER_M, STATIONS_M
from cardan.engines.preprocess import Crop, Shrinker

CROP = Crop(left=32, top=72, width=576, height=288, block=3)
LABEL_X_M = (6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 26.0, 33.0, 40.0, 50.0)
"""Stations ahead of the rear axle."""
LEAD_REACH_M = 75.0
"""A lead nearer than this is to be seen; further ones count neither way."""
LEAD_OUT_M = 120.0
SCENES_PER_STYLE = 60
BLANK_SHARE = 0.04


@dataclass
class Scenes:
    """Arrays with one row a scene; y in metres, left positive."""

    image: NDArray[np.uint8]
    left_y_m: NDArray[np.float32]
    right_y_m: NDArray[np.float32]
    lane: NDArray[np.float32]
    lead: NDArray[np.float32]
    lead_counts: NDArray[np.float32]
    """0 where a lead is so far away that seeing it or not are both right."""
    lead_gap_m: NDArray[np.float32]
    lead_y_m: NDArray[np.float32]


def make_scenes(count: int, seed: int, default_style_share: float = 0.15) -> Scenes:
    """`count` scenes; the same seed gives the same scenes."""
    draw = np.random.default_rng(seed)
    camera, shrinker = CameraModel(), Shrinker(CROP)
    scenes = _room_for(count)
    picture = np.empty((camera.height, camera.width, 3), np.uint8)
    for first in range(0, count, SCENES_PER_STYLE):
        style = random_style(draw) if draw.random() > default_style_share else Style(seed=int(draw.integers(1000)))
        renderer = Renderer(camera, style)
        pieces = highway_pieces(int(draw.integers(1 << 31)), curves=8, radius_m=(250.0, 1200.0))
        road = build_road(pieces)
        for row in range(first, min(first + SCENES_PER_STYLE, count)):
            scene = _random_scene(draw, road, style, scenes, row)
            renderer.render(scene, picture)
            shrinker.shrink(picture, scenes.image[row])
            if draw.random() < BLANK_SHARE:
                _make_blank(draw, scenes, row)
    return scenes


def _room_for(count: int) -> Scenes:
    stations = len(LABEL_X_M)
    columns = [np.zeros((count, stations), np.float32) for _ in range(2)] + [
        np.zeros(count, np.float32) for _ in range(5)
    ]
    height, width = CROP.height // CROP.block, CROP.width // CROP.block
    return Scenes(np.zeros((count, height, width, 3), np.uint8), *columns)


def _random_scene(draw: np.random.Generator, road: Road, style: Style, scenes: Scenes, row: int) -> Scene:
    """Draws a place on the road with cars on it, and writes its labels to `row`."""
    s_m = draw.uniform(0.0, road.length_m)
    offset_m = float(np.clip(draw.normal(0.0, 0.45), -1.3, 1.3))
    error_rad = float(np.clip(draw.normal(0.0, 0.025), -0.09, 0.09))
    centre = centre_ahead(road, s_m, offset_m, error_rad, STATIONS_M)
    stations = np.asarray(LABEL_X_M)
    scenes.lane[row] = scenes.lead_counts[row] = 1.0
    scenes.left_y_m[row] = beside(STATIONS_M, centre, LANE_WIDTH_M / 2.0, stations)
    scenes.right_y_m[row] = beside(STATIONS_M, centre, -LANE_WIDTH_M / 2.0, stations)
    cars = _neighbours(draw, style, centre)
    if draw.random() < 0.6:
        cars.append(_lead(draw, centre, scenes, row))
    return Scene(
        centre_x_m=STATIONS_M,
        centre_y_m=centre,
        road_s_m=s_m,
        heading_rad=float(heading(road, np.array([s_m]))[0]),
        cars=tuple(cars),
    )


def _lead(draw: np.random.Generator, centre: Floats, scenes: Scenes, row: int) -> Car:
    gap_m = (
        float(np.exp(draw.uniform(np.log(0.8), np.log(LEAD_OUT_M)))) if draw.random() < 0.5 else draw.uniform(1.0, 90.0)
    )
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(STATIONS_M), np.diff(centre)))])
    car = _car_at(draw, centre, float(np.interp(gap_m + FRONT_BUMPER_M, along, STATIONS_M)), draw.normal(0.0, 0.15))
    scenes.lead[row] = float(gap_m < LEAD_REACH_M)
    scenes.lead_counts[row] = float(gap_m < LEAD_REACH_M)
    scenes.lead_gap_m[row] = gap_m
    scenes.lead_y_m[row] = car.y_m
    return car


def _neighbours(draw: np.random.Generator, style: Style, centre: Floats) -> list[Car]:
    """Cars in the other lanes: they are not leads."""
    sides = [side for side in range(-style.lanes_right, style.lanes_left + 1) if side != 0 and draw.random() < 0.35]
    return [
        _car_at(draw, centre, draw.uniform(3.5, 80.0), side * LANE_WIDTH_M + draw.normal(0.0, 0.25)) for side in sides
    ]


def _car_at(draw: np.random.Generator, centre: Floats, x_m: float, offset_m: float) -> Car:
    slope = np.gradient(centre, STATIONS_M)
    return Car(
        x_m=x_m,
        y_m=float(beside(STATIONS_M, centre, offset_m, np.array([x_m]))[0]),
        heading_rad=float(np.arctan(np.interp(x_m, STATIONS_M, slope)) + draw.normal(0.0, 0.02)),
        colour=int(draw.integers(7)),
        size=draw.uniform(0.96, 1.06),
    )


def _make_blank(draw: np.random.Generator, scenes: Scenes, row: int) -> None:
    """A picture with no road in it: upside down, one colour, or noise."""
    image = scenes.image[row]
    kind = draw.integers(3)
    if kind == 0:
        image[...] = image[::-1].copy()
    elif kind == 1:
        image[...] = draw.integers(0, 256, 3)
    else:
        image[...] = draw.integers(0, 256, image.shape)
    scenes.lane[row] = scenes.lead[row] = 0.0
    scenes.lead_counts[row] = 1.0
