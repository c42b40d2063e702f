"""The pinhole camera of the simulated vehicle: from the vehicle frame to pixels and back to the ground."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


class CameraModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the camera sits and how it sees. Pixels: column right, row down, (0, 0) is the first pixel's corner."""

    width: int = 640
    """Of the picture, in pixels."""
    height: int = 360
    """Of the picture, in pixels."""
    focal_px: float = 500.0
    """Focal length."""
    x_m: float = 1.6
    """Of the lens, ahead of the rear axle; it sits in the middle of the vehicle."""
    height_m: float = 1.35
    """Of the lens, above the ground."""
    pitch_rad: float = 0.05
    """Downwards."""

    @property
    def horizon_row(self) -> float:
        """Row in which the ground ends."""
        return self.height / 2.0 - self.focal_px * math.tan(self.pitch_rad)

    def pixel_of(self, x_m: float, y_m: float, z_m: float = 0.0) -> tuple[float, float]:
        """(column, row) of a point in the vehicle frame, which must be ahead of the lens."""
        ahead, down = x_m - self.x_m, self.height_m - z_m
        cosine, sine = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        depth = ahead * cosine + down * sine
        row = self.height / 2.0 + self.focal_px * (down * cosine - ahead * sine) / depth
        return self.width / 2.0 - self.focal_px * y_m / depth, row

    def scale_at(self, x_m: float) -> float:
        """Pixels per metre across, on the ground at `x_m`."""
        ahead = x_m - self.x_m
        return self.focal_px / (ahead * math.cos(self.pitch_rad) + self.height_m * math.sin(self.pitch_rad))

    def ground_rows(self, first_row: int) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """(x on the ground, metres per pixel across) at the middle of each row from `first_row` to the last."""
        view = (np.arange(first_row, self.height) + 0.5 - self.height / 2.0) / self.focal_px
        cosine, sine = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        depth = self.height_m / (sine + view * cosine)
        return self.x_m + depth * (cosine - view * sine), depth / self.focal_px
