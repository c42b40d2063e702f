"""Places on the earth: is a position in a zone, and the middle of the square of a grid that it lies in."""

from __future__ import annotations

import math
from typing import NamedTuple

from cardan.runtime.privacy.settings import Zone

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the GRS 80 ellipsoid (IUGG)."""
METRES_PER_DEGREE = math.pi * EARTH_RADIUS_M / 180


class Position(NamedTuple):
    """Degrees, WGS 84."""

    latitude_deg: float
    longitude_deg: float


def position_or_none(latitude: object, longitude: object) -> Position | None:
    """A position, when both are finite numbers within their ranges."""
    if isinstance(latitude, bool) or isinstance(longitude, bool):
        return None
    if not (isinstance(latitude, int | float) and isinstance(longitude, int | float)):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):  # NaN fails every comparison
        return None
    return Position(float(latitude), float(longitude))


def distance_m(one: Position, other: Position) -> float:
    """Length of the great circle between two positions (haversine formula)."""
    latitudes = math.radians(one.latitude_deg), math.radians(other.latitude_deg)
    half_latitude = (latitudes[1] - latitudes[0]) / 2
    half_longitude = math.radians(other.longitude_deg - one.longitude_deg) / 2
    square = math.sin(half_latitude) ** 2 + math.cos(latitudes[0]) * math.cos(latitudes[1]) * (
        math.sin(half_longitude) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(square)))


def is_inside(zone: Zone, position: Position) -> bool:
    """True when `position` lies in `zone`; of a ring, straight lines in degrees count as its sides."""
    if zone.latitude_deg is not None and zone.longitude_deg is not None and zone.radius_m is not None:
        return distance_m(Position(zone.latitude_deg, zone.longitude_deg), position) <= zone.radius_m
    return _in_ring(zone.corners, position)


def _in_ring(corners: list[tuple[float, float]], position: Position) -> bool:
    """Even-odd rule: a line towards the east crosses the ring an odd number of times."""
    inside = False
    previous = corners[-1]
    for corner in corners:
        (latitude, longitude), (before_latitude, before_longitude) = corner, previous
        if (latitude > position.latitude_deg) != (before_latitude > position.latitude_deg):
            share = (position.latitude_deg - before_latitude) / (latitude - before_latitude)
            if position.longitude_deg < before_longitude + share * (longitude - before_longitude):
                inside = not inside
        previous = corner
    return inside


def on_grid(position: Position, grid_m: float) -> Position:
    """The middle of the square that `position` lies in: squares of `grid_m`, in rows along the parallels.

    Less than `grid_m` away from the position (0.71 of it, but in the last rows before a pole). The same for every
    position of a square, so nothing but the square can be told from it.
    """
    rows = max(1, round(180 * METRES_PER_DEGREE / grid_m))
    row = min(rows - 1, math.floor((position.latitude_deg + 90) / 180 * rows))
    latitude = (row + 0.5) / rows * 180 - 90
    columns = max(1, round(360 * METRES_PER_DEGREE * math.cos(math.radians(latitude)) / grid_m))
    column = min(columns - 1, math.floor((position.longitude_deg + 180) / 360 * columns))
    return Position(latitude, (column + 0.5) / columns * 360 - 180)
