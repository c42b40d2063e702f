from __future__ import annotations

import pytest

from cardan.drivers.sim.camera_model import CameraModel

CAMERA = CameraModel()


def test_a_point_straight_ahead_is_in_the_middle_column() -> None:
    column, row = CAMERA.pixel_of(30.0, 0.0)
    assert column == 320.0
    assert CAMERA.horizon_row < row < 360.0


def test_left_is_left_and_up_is_up() -> None:
    assert CAMERA.pixel_of(20.0, 2.0)[0] < 320.0
    assert CAMERA.pixel_of(20.0, 0.0, 1.0)[1] < CAMERA.pixel_of(20.0, 0.0, 0.0)[1]


def test_far_away_the_ground_meets_the_horizon() -> None:
    assert CAMERA.pixel_of(1e6, 0.0)[1] == pytest.approx(CAMERA.horizon_row, abs=0.01)


def test_rows_of_the_ground_and_pixels_agree() -> None:
    x_m, pixel_m = CAMERA.ground_rows(200)
    for row in (0, 70, 159):
        column, at_row = CAMERA.pixel_of(float(x_m[row]), -10 * float(pixel_m[row]))
        assert (column, at_row) == pytest.approx((330.0, 200 + row + 0.5))
        assert CAMERA.scale_at(float(x_m[row])) == pytest.approx(1.0 / float(pixel_m[row]))
