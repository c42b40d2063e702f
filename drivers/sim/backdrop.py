"""Sky and hills all around, painted once; a heading picks the part that the camera sees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.style import Style

Plane = NDArray[np.floating[Any]]


class Backdrop:
    """A panorama down to the horizon, uint8 (rows, columns, RGB); one column is one pixel of bearing."""

    def __init__(self, camera: CameraModel, style: Style) -> None:
        self._around = round(2.0 * math.pi * camera.focal_px)
        self._width = camera.width
        self.rows = math.ceil(camera.horizon_row + 0.5)
        whole = _painted(self.rows, self._around, camera, style)
        self._panorama = np.concatenate([whole, whole[:, : camera.width]], axis=1)

    def view(self, heading_rad: float) -> NDArray[np.uint8]:
        """What a camera with this heading in the world sees above the horizon."""
        start = round(-heading_rad / (2.0 * math.pi) * self._around) % self._around
        return self._panorama[:, start : start + self._width]


def _painted(rows: int, columns: int, camera: CameraModel, style: Style) -> NDArray[np.uint8]:
    draw = np.random.default_rng(style.seed + 1)
    up = (camera.horizon_row - np.arange(rows) - 0.5).astype(np.float32)[:, None]
    fade = np.clip(1.0 - up / 150.0, 0.0, 1.0)[..., None] ** 1.6
    sky = np.asarray(style.sky_top, np.float32) * (1.0 - fade) + np.asarray(style.sky_low, np.float32) * fade
    sky = sky + _clouds(draw, up, columns)[..., None] * (246.0 - sky)
    for height, nearness in ((15.0, 0.45), (9.0, 0.8)):
        ridge = _ridge(draw, columns, height)
        cover = np.clip(ridge - up + 0.5, 0.0, 1.0)[..., None]
        hills = np.asarray(style.hills, np.float32) * nearness + np.asarray(style.sky_low, np.float32) * (1 - nearness)
        sky = sky + cover * (hills - sky)
    result: NDArray[np.uint8] = np.clip(sky * min(style.light, 1.0), 0.0, 255.0).astype(np.uint8)
    return result


def _ridge(draw: np.random.Generator, columns: int, height_px: float) -> Plane:
    """Height of a chain of hills in pixels, the same at both ends of the panorama."""
    bearing = np.arange(columns) * (2.0 * math.pi / columns)
    ridge = np.full(columns, 0.55)
    for frequency in (3, 7, 12, 19, 33, 57, 101):
        ridge += 0.9 / frequency**0.75 * np.sin(frequency * bearing + draw.uniform(0.0, 2.0 * math.pi))
    return np.asarray(np.maximum(ridge, 0.1) * height_px, np.float32)


def _clouds(draw: np.random.Generator, up: Plane, columns: int) -> Plane:
    """Cover of clouds, 0..1: noise of four sizes, flatter towards the horizon."""
    rise = np.log2(np.maximum(up[:, 0], 4.0) / 4.0)
    cover = np.zeros((len(up), columns), np.float32)
    for octave in range(4):
        cover += _smooth_noise(draw, rise * (3.0 * 2**octave), 14 * 2**octave, columns) * np.float32(0.55**octave)
    high = np.clip((up - 12.0) / 40.0, 0.0, 1.0)
    cover[...] = np.clip(cover * 0.75 - 0.28, 0.0, 0.85) * high
    return cover


def _smooth_noise(draw: np.random.Generator, rows: Plane, cells: int, columns: int) -> Plane:
    """Random values -1..1 on a grid of `cells` around, smoothly in between; `rows` are places on the grid's height."""
    grid = draw.uniform(-1.0, 1.0, (math.ceil(float(rows.max())) + 2, cells + 1)).astype(np.float32)
    grid[:, -1] = grid[:, 0]
    around = np.arange(columns) * (cells / columns)
    wide = _between(grid.T, around).T
    return _between(wide, rows)


def _between(grid: Plane, places: Plane) -> Plane:
    """Rows of `grid` at fractional places, blended by a smooth step."""
    low = places.astype(np.int64)
    part = (places - low)[:, None]
    smooth = (part * part * (3.0 - 2.0 * part)).astype(np.float32)
    blend: Plane = grid[low] * (1.0 - smooth) + grid[low + 1] * smooth
    return blend
