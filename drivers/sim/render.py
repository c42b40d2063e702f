"""From the state of the simulated world to a camera picture, in a few milliseconds of numpy.

The ground is flat and the camera is fixed, so each camera row below the horizon sees the ground at one distance x:
the row is a scaled cut through the ground texture. Cars, trees and posts are pictures that stand upright.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cardan.drivers.sim.backdrop import Backdrop
from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.ground import (
    ACROSS_CELL_M,
    ACROSS_CELLS,
    ACROSS_LEVELS,
    ALONG_CELL_M,
    ALONG_LEVELS,
    GroundTexture,
    lane_edges_m,
    level_for,
)
from cardan.drivers.sim.scene import Car, Scene, place_beside, road_at
from cardan.drivers.sim.sprites import (
    CAR_HEIGHT_M,
    CAR_LENGTH_M,
    CAR_WIDTH_M,
    POST_HEIGHT_M,
    POST_WIDTH_M,
    TREE_HEIGHT_M,
    TREE_WIDTH_M,
    Picture,
    car_pictures,
    paint,
    post_picture,
    tree_picture,
)
from cardan.drivers.sim.style import Colour, Style

Image = NDArray[np.uint8]

TREE_STEP_M = 17.0
POST_STEP_M = 50.0
SCENERY_REACH_M = 190.0
MIST_FROM_M = 30.0
MIST_SCALE_M = 420.0
NEAREST_M = 1.2
"""Things nearer to the lens than this are not drawn."""
CAR_COLOURS: tuple[Colour, ...] = (
    (172.0, 34.0, 38.0),
    (212.0, 214.0, 216.0),
    (38.0, 68.0, 122.0),
    (52.0, 54.0, 58.0),
    (128.0, 134.0, 138.0),
    (214.0, 178.0, 60.0),
    (60.0, 104.0, 78.0),
)


class Upright(NamedTuple):
    """A picture that stands on the ground, facing us; (x, y) of its foot."""

    picture: Picture
    x_m: float
    y_m: float
    width_m: float
    height_m: float


class Renderer:
    """Renders scenes of one style through one camera; building it takes some 0.2 s."""

    def __init__(self, camera: CameraModel, style: Style) -> None:
        self.camera = camera
        self.style = style
        self._backdrop = Backdrop(camera, style)
        self._first_row = self._backdrop.rows
        self._row_x_m, self._row_pixel_m = camera.ground_rows(self._first_row)
        along_m, across_m = (-np.gradient(self._row_x_m)).tolist(), self._row_pixel_m.tolist()
        self._along_level = [level_for(size, ALONG_CELL_M, ALONG_LEVELS) for size in along_m]
        self._across_level = [level_for(size, ACROSS_CELL_M, ACROSS_LEVELS) for size in across_m]
        self._ground = GroundTexture(style, set(zip(self._along_level, self._across_level, strict=True)))
        self._row_cell_m = ACROSS_CELL_M * np.exp2(self._across_level)
        self._row_cells = ACROSS_CELLS / np.exp2(self._across_level)
        self._columns = np.arange(camera.width, dtype=np.float32) + np.float32(0.5 - camera.width / 2.0)
        self._mist = np.asarray([self._mist_at(x_m) for x_m in self._row_x_m.tolist()], np.float32)
        self._haze: Colour = _lit(style.sky_low, min(style.light, 1.0))
        draw = np.random.default_rng(style.seed + 2)
        self._cars: dict[int, dict[str, Picture]] = {}
        self._car_pictures(0)
        self._trees = [tree_picture(draw, _lit(leaf, style.light)) for leaf in _leaves(style)]
        self._post = post_picture()

    def render(self, scene: Scene, image: Image) -> None:
        """Fill `image`: uint8 (height, width, 3), RGB, of the camera's size."""
        image[: self._first_row] = self._backdrop.view(scene.heading_rad)
        self._paint_ground(scene, image[self._first_row :])
        things: list[Upright | Car] = [*self._scenery(scene), *scene.cars]
        for thing in sorted(things, key=lambda thing: -thing.x_m):
            if isinstance(thing, Car):
                self._paint_car(image, thing)
            else:
                self._paint_upright(image, thing)

    def _paint_ground(self, scene: Scene, ground: Image) -> None:
        road = road_at(scene, self._row_x_m)
        cosine = 1.0 / np.hypot(1.0, road.slope)
        per_column = (-self._row_pixel_m * cosine / self._row_cell_m).astype(np.float32)
        middle = (self._row_cells / 2.0 - road.y_m * cosine / self._row_cell_m).astype(np.float32)
        across = self._columns * per_column[:, None]
        across += middle[:, None]
        np.clip(across, 0.0, (self._row_cells - 1.0).astype(np.float32)[:, None], out=across)
        rows = zip(self._along_level, self._across_level, road.s_m.tolist(), strict=True)
        index = across.astype(np.int32)
        index += np.asarray([self._ground.row_of(*row) for row in rows], np.int32)[:, None]
        packed = self._ground.cells.take(index)
        ground[...] = packed.view(np.uint8).reshape(*packed.shape, 4)[..., :3]
        self._add_mist(ground)

    def _add_mist(self, ground: Image) -> None:
        rows = int(np.count_nonzero(self._mist > 0.02))
        mist = self._mist[:rows, None, None]
        ground[:rows] = ground[:rows] * (1.0 - mist) + np.asarray(self._haze, np.float32) * mist

    def _scenery(self, scene: Scene) -> list[Upright]:
        """Each post and tree in sight."""
        right, left = lane_edges_m(self.style)
        marks, sides = _marks(scene.road_s_m, POST_STEP_M), (right - 1.9, left + 1.9)
        things = [(self._post, n * POST_STEP_M, o, POST_WIDTH_M, POST_HEIGHT_M) for n in marks for o in sides]
        if self.style.trees:
            things += [self._tree(number, right, left) for number in _marks(scene.road_s_m, TREE_STEP_M)]
        along, offset = np.asarray([(thing[1], thing[2]) for thing in things]).T
        x_m, y_m = place_beside(scene, along, offset)
        spots = zip(things, x_m.tolist(), y_m.tolist(), strict=True)
        return [Upright(thing[0], x, y, thing[3], thing[4]) for thing, x, y in spots]

    def _tree(self, number: int, right_m: float, left_m: float) -> tuple[Picture, float, float, float, float]:
        """(picture, distance along the road, offset, width, height) of the tree with this number."""
        beside = 8.0 + 22.0 * _hash(number * 7 + 1)
        offset = left_m + beside if _hash(number + self.style.seed) < 0.5 else right_m - beside
        size = 0.6 + 0.7 * _hash(number * 3 + 2)
        picture = self._trees[number % len(self._trees)]
        return picture, number * TREE_STEP_M, offset, TREE_WIDTH_M * size, TREE_HEIGHT_M * size

    def _paint_upright(self, image: Image, thing: Upright) -> None:
        if thing.x_m - self.camera.x_m < NEAREST_M:
            return
        column, bottom = self.camera.pixel_of(thing.x_m, thing.y_m)
        scale = self.camera.scale_at(thing.x_m)
        half = thing.width_m * scale / 2.0
        box = (column - half, bottom - thing.height_m * scale, column + half, bottom)
        paint(image, thing.picture, box, self._haze, self._mist_at(thing.x_m))

    def _mist_at(self, x_m: float) -> float:
        return 1.0 - math.exp(-max(x_m - MIST_FROM_M, 0.0) * self.style.haze / MIST_SCALE_M)

    def _paint_car(self, image: Image, car: Car) -> None:
        """Slices from the front to the rear, so that its side shows where it is turned or beside us."""
        if car.x_m - self.camera.x_m < NEAREST_M:
            return
        pictures = self._car_pictures(car.colour % len(CAR_COLOURS))
        width, height, length = CAR_WIDTH_M * car.size, CAR_HEIGHT_M * car.size, CAR_LENGTH_M * car.size
        self._paint_shadow(image, car, pictures["shadow"])
        near, far = self.camera.scale_at(car.x_m), self.camera.scale_at(car.x_m + length)
        end_y = car.y_m + length * math.sin(car.heading_rad)
        slices = min(28, math.ceil(abs(car.y_m * near - end_y * far) / 2.5))
        for step in range(slices, 0, -1):
            ahead = length * step / slices
            part = pictures["cabin" if 0.05 * length < ahead < 0.62 * length else "hood"]
            x_m = car.x_m + ahead * math.cos(car.heading_rad)
            y_m = car.y_m + ahead * math.sin(car.heading_rad)
            self._paint_upright(image, Upright(part, x_m, y_m, width, height))
        self._paint_upright(image, Upright(pictures["rear"], car.x_m, car.y_m, width, height))

    def _car_pictures(self, colour: int) -> dict[str, Picture]:
        """Made when a colour is first seen: most worlds have one car."""
        if colour not in self._cars:
            self._cars[colour] = car_pictures(_lit(CAR_COLOURS[colour], self.style.light))
        return self._cars[colour]

    def _paint_shadow(self, image: Image, car: Car, picture: Picture) -> None:
        near_x = max(car.x_m - 0.25, self.camera.x_m + NEAREST_M)
        column, bottom = self.camera.pixel_of(near_x, car.y_m)
        _, top = self.camera.pixel_of(car.x_m + 0.6 * CAR_LENGTH_M, car.y_m)
        half = 1.08 * CAR_WIDTH_M * car.size * self.camera.scale_at(near_x) / 2.0
        paint(image, picture, (column - half, top, column + half, bottom), self._haze, self._mist_at(car.x_m))


def _marks(road_s_m: float, step_m: float) -> range:
    """Numbers of the marks every `step_m` between us and the end of sight."""
    return range(math.ceil((road_s_m + 2.0) / step_m), math.ceil((road_s_m + SCENERY_REACH_M) / step_m))


def _hash(number: int) -> float:
    """A fixed random number 0..1 for an integer (Knuth's multiplicative hash)."""
    mixed = (number * 2654435761) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 15)) * 2246822519 & 0xFFFFFFFF) / 0xFFFFFFFF


def _leaves(style: Style) -> list[Colour]:
    red, green, blue = style.grass
    return [
        (red * 0.75, green * 0.85, blue * 0.8),
        (red * 0.55, green * 0.8, blue * 0.75),
        (red, green * 0.8, blue * 0.6),
    ]


def _lit(colour: Colour, light: float) -> Colour:
    red, green, blue = (min(250.0, part * light) for part in colour)
    return red, green, blue
