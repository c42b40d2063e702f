from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.drivers.sim.camera import calibration_of
from cardan.drivers.sim.camera_model import CameraModel
from cardan.runtime.messages import CameraCalibration, RoadView
from cardan.runtime.web.overlay import draw, pixel_or_none

MODEL = CameraModel(pitch_rad=0.08)
CAMERA = calibration_of(MODEL)


@given(st.floats(3.0, 200.0), st.floats(-20.0, 20.0), st.floats(-1.0, 3.0))
def test_it_projects_as_the_camera_that_took_the_picture(x_m: float, y_m: float, z_m: float) -> None:
    assert pixel_or_none(CAMERA, x_m, y_m, z_m) == pytest.approx(MODEL.pixel_of(x_m, y_m, z_m), abs=1e-6)


def test_turning_the_camera_moves_the_picture_the_other_way() -> None:
    level = CameraCalibration(
        width_px=640,
        height_px=360,
        focal_x_px=500,
        focal_y_px=500,
        centre_x_px=320,
        centre_y_px=180,
        x_m=0,
        y_m=0,
        z_m=1,
    )
    assert pixel_or_none(level, 10.0, 0.0, 1.0) == (320.0, 180.0)
    turned = msgspec.structs.replace(level, yaw_rad=0.1)
    assert pixel_or_none(turned, 10.0, 0.0, 1.0) == pytest.approx((320.0 + 500 * math.tan(0.1), 180.0))
    rolled = msgspec.structs.replace(level, roll_rad=math.pi / 2)
    assert pixel_or_none(rolled, 10.0, 0.0, 0.0) == pytest.approx((320.0 + 50.0, 180.0))


def test_nothing_is_drawn_behind_the_lens() -> None:
    assert pixel_or_none(CAMERA, 1.0, 0.0, 0.0) is None
    assert pixel_or_none(CAMERA, math.nan, 0.0, 0.0) is None
    assert pixel_or_none(CAMERA, 10.0, math.nan, 0.0) is None
    assert pixel_or_none(CAMERA, 10.0, math.inf, 0.0) is None


def _view(**more: object) -> RoadView:
    fields = {"status": "ok", "frame_id": 1, "x_m": (5.0, 10.0), "left_y_m": (1.8, 1.8), "right_y_m": (-1.8, -1.8)}
    return RoadView(**{**fields, "lane_probability": 0.9, **more})  # type: ignore[arg-type] # fields of many types


def test_lanes_and_lead_are_scaled_to_the_picture() -> None:
    whole = draw(CAMERA, _view(lead_gap_m=20.0, lead_probability=0.8), 640, 360)
    half = draw(CAMERA, _view(lead_gap_m=20.0, lead_probability=0.8), 320, 180)
    assert len(whole.lines) == 2 and whole.label == "lead 20 m (80%)"
    assert whole.box is not None and half.box is not None
    assert half.box == pytest.approx(tuple(edge / 2 for edge in whole.box), abs=0.1)
    left, top, right, bottom = whole.box
    assert left < 320 < right and top < bottom


def test_what_the_network_does_not_believe_is_not_drawn() -> None:
    drawing = draw(CAMERA, _view(lane_probability=0.2, lead_gap_m=20.0, lead_probability=0.3), 640, 360)
    assert drawing.lines == [] and drawing.box is None


def test_a_late_view_says_so() -> None:
    assert draw(CAMERA, _view(status="late"), 640, 360).note == "the network says: late"
