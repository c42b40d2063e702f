"""What is drawn into a camera picture: lane lines and lead as the network saw them, projected by the calibration."""

from __future__ import annotations

import math

import msgspec

from cardan.runtime.messages import CameraCalibration, RoadView

NEAREST_M = 0.5
"""Points nearer to the lens than this are not drawn."""
LEAD_WIDTH_M, LEAD_HEIGHT_M = 1.9, 1.5
"""The network gives the place of the lead and not its size: that of a usual car."""
LIKELY = 0.5
Pixel = tuple[float, float]


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Lines and a box, in pixels of a picture of `width` by `height`."""

    width: int
    height: int
    lines: list[list[Pixel]] = []
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom."""
    label: str = ""
    note: str = ""
    """Why there is less to see than one might expect."""
    age_ms: float = 0.0
    """Of the capture."""


def pixel_or_none(camera: CameraCalibration, x_m: float, y_m: float, z_m: float) -> Pixel | None:
    """(column, row) of a point of the vehicle frame; None for one that is not ahead of the lens, or no number."""
    x, y, z = x_m - camera.x_m, y_m - camera.y_m, z_m - camera.z_m
    cosine, sine = math.cos(camera.yaw_rad), math.sin(camera.yaw_rad)
    ahead, right = x * cosine + y * sine, x * sine - y * cosine
    cosine, sine = math.cos(camera.pitch_rad), math.sin(camera.pitch_rad)
    depth, down = ahead * cosine - z * sine, -z * cosine - ahead * sine
    if not depth >= NEAREST_M:
        return None
    cosine, sine = math.cos(camera.roll_rad), math.sin(camera.roll_rad)
    across, below = right * cosine + down * sine, down * cosine - right * sine
    column = camera.centre_x_px + camera.focal_x_px * across / depth
    row = camera.centre_y_px + camera.focal_y_px * below / depth
    return (column, row) if math.isfinite(column) and math.isfinite(row) else None


def draw(camera: CameraCalibration, view: RoadView, width: int, height: int) -> Drawing:
    """The view in a picture of `width` by `height` pixels of this camera."""
    across, along = width / camera.width_px, height / camera.height_px
    lines = [_line(camera, view.x_m, side, across, along) for side in (view.left_y_m, view.right_y_m)]
    likely = view.lane_probability >= LIKELY
    box = _lead(camera, view)
    return Drawing(
        width=width,
        height=height,
        lines=[line for line in lines if len(line) > 1] if likely else [],
        box=(box[0] * across, box[1] * along, box[2] * across, box[3] * along) if box else None,
        label=f"lead {view.lead_gap_m:.0f} m ({view.lead_probability:.0%})" if box else "",
        note="" if view.status == "ok" else f"the network says: {view.status}",
    )


def _line(
    camera: CameraCalibration, x_m: tuple[float, ...], y_m: tuple[float, ...], across: float, along: float
) -> list[Pixel]:
    pixels = [pixel_or_none(camera, x, y, 0.0) for x, y in zip(x_m, y_m, strict=False)]
    return [(round(pixel[0] * across, 1), round(pixel[1] * along, 1)) for pixel in pixels if pixel is not None]


def _lead(camera: CameraCalibration, view: RoadView) -> tuple[float, float, float, float] | None:
    if view.lead_gap_m <= 0.0 or view.lead_probability < LIKELY:
        return None
    rear_m, half_m = camera.front_bumper_x_m + view.lead_gap_m, LEAD_WIDTH_M / 2.0
    low = pixel_or_none(camera, rear_m, view.lead_y_m + half_m, 0.0)
    high = pixel_or_none(camera, rear_m, view.lead_y_m - half_m, LEAD_HEIGHT_M)
    if low is None or high is None:
        return None
    return round(low[0], 1), round(high[1], 1), round(high[0], 1), round(low[1], 1)
