from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.render import Renderer
from cardan.drivers.sim.scene import Car, Scene, place_beside, road_at, scene_of
from cardan.drivers.sim.style import Style, random_style
from cardan.drivers.sim.world import STATIONS_M, World, WorldConfig

CAMERA = CameraModel()
STRAIGHT = Scene(centre_x_m=STATIONS_M, centre_y_m=np.zeros(len(STATIONS_M)), road_s_m=0.0, heading_rad=0.0)
CURVE = replace(STRAIGHT, centre_y_m=500.0 - np.sqrt(500.0**2 - STATIONS_M**2))
PLAIN = Style(grain=0.0, tracks=0.0, trees=False, line_strength=1.0, lanes_left=0, lanes_right=0)


@pytest.fixture(scope="module")
def plain() -> Renderer:
    return Renderer(CAMERA, PLAIN)


@pytest.fixture(scope="module")
def default() -> Renderer:
    return Renderer(CAMERA, Style())


def picture(renderer: Renderer, scene: Scene) -> np.ndarray:
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    renderer.render(scene, image)
    return image


def line_columns(image: np.ndarray, row: int) -> tuple[float, float]:
    """Middle of the bright pixels left and right of the lane's middle, which must be near the picture's middle."""
    bright = np.flatnonzero(image[row].min(axis=1) > 170)
    middle = (bright.min() + bright.max()) / 2.0
    return float(bright[bright < middle].mean() + 0.5), float(bright[bright > middle].mean() + 0.5)


@pytest.mark.parametrize("scene", [STRAIGHT, CURVE])
@pytest.mark.parametrize("x_m", [7.0, 12.0, 25.0])
def test_lines_are_where_the_camera_model_says(plain: Renderer, scene: Scene, x_m: float) -> None:
    row = round(CAMERA.pixel_of(x_m, 0.0)[1])
    at_m = CAMERA.ground_rows(row)[0][0]
    centre = float(np.interp(at_m, scene.centre_x_m, scene.centre_y_m))
    left, right = line_columns(picture(plain, scene), row)
    assert left == pytest.approx(CAMERA.pixel_of(at_m, centre + 1.75)[0], abs=1.0)
    assert right == pytest.approx(CAMERA.pixel_of(at_m, centre - 1.75)[0], abs=1.0)


def test_dashes_move_with_the_distance_along_the_road(default: Renderer) -> None:
    start, same = picture(default, STRAIGHT), picture(default, replace(STRAIGHT, road_s_m=36.0 * 900))
    moved = picture(default, replace(STRAIGHT, road_s_m=9.0))
    assert (start[200:] == same[200:]).mean() > 0.98  # all but the posts at the roadside
    assert (start[200:] == moved[200:]).mean() < 0.7


def test_a_lead_covers_the_pixels_that_it_stands_on(default: Renderer) -> None:
    without = picture(default, STRAIGHT)
    withal = picture(default, replace(STRAIGHT, cars=(Car(x_m=20.0, y_m=0.0),)))
    rows, columns = np.nonzero(np.abs(withal.astype(int) - without).max(axis=2) > 12)
    left, bottom = CAMERA.pixel_of(20.0, 0.91)
    assert columns.min() == pytest.approx(left, abs=3.0)
    assert columns.max() == pytest.approx(640 - left, abs=3.0)
    assert rows.max() == pytest.approx(bottom, abs=3.0)
    assert rows.min() == pytest.approx(CAMERA.pixel_of(20.0, 0.0, 1.46)[1], abs=3.0)


def test_a_near_car_hides_a_far_one(default: Renderer) -> None:
    near, far = Car(x_m=8.0, y_m=0.0), Car(x_m=40.0, y_m=0.0, colour=1)
    one = picture(default, replace(STRAIGHT, cars=(near, far)))
    other = picture(default, replace(STRAIGHT, cars=(far, near)))
    assert np.array_equal(one, other)
    assert np.array_equal(one, picture(default, replace(STRAIGHT, cars=(near,))))


@pytest.mark.parametrize("x_m", [-20.0, 0.0, 1.7, 2.0, 3.0, 149.0, 500.0])
@pytest.mark.parametrize("y_m", [-40.0, -3.5, 0.0, 3.5])
def test_a_car_anywhere_is_drawn_or_left_out(default: Renderer, x_m: float, y_m: float) -> None:
    picture(default, replace(STRAIGHT, cars=(Car(x_m=x_m, y_m=y_m, heading_rad=0.3),)))


def test_the_same_scene_is_the_same_picture(default: Renderer) -> None:
    assert np.array_equal(picture(default, CURVE), picture(default, CURVE))


def test_the_hills_turn_with_the_heading(default: Renderer) -> None:
    ahead, turned = picture(default, STRAIGHT), picture(default, replace(STRAIGHT, heading_rad=0.1))
    assert np.array_equal(turned[:120, :500], ahead[:120, :500]) is False
    assert np.array_equal(turned[:60, 50:], ahead[:60, :-50])


def test_a_random_style_is_drawn_from_its_seed() -> None:
    assert random_style(np.random.default_rng(5)) == random_style(np.random.default_rng(5))
    assert random_style(np.random.default_rng(5)) != random_style(np.random.default_rng(6))


def test_the_scene_is_what_the_truth_says() -> None:
    truth = World(WorldConfig(lead_gap_m=30.0)).truth()
    scene = scene_of(truth)
    assert scene.road_s_m == truth.road_s_m
    assert [car.x_m for car in scene.cars] == [truth.lead_x_m]
    assert scene_of(World(WorldConfig(lead=False)).truth()).cars == ()


def test_beyond_the_last_station_the_road_goes_on_straight() -> None:
    short = replace(STRAIGHT, centre_y_m=STATIONS_M * 0.1)
    road = road_at(short, np.array([100.0, 400.0]))
    assert road.y_m == pytest.approx([10.0, 40.0])
    assert road.s_m == pytest.approx([100.0 * np.hypot(1, 0.1), 400.0 * np.hypot(1, 0.1)])


def test_things_stand_beside_the_road_at_their_distance() -> None:
    x_m, y_m = place_beside(STRAIGHT, np.array([50.0]), np.array([4.0]))
    assert (x_m[0], y_m[0]) == pytest.approx((50.0, 4.0))
