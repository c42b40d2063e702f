"""An endless road: curvature piece by piece, and where a pose is along it.

The road is a list of pieces with linear curvature (straights, clothoid transitions, arcs) that repeats for ever.
The second half of a period mirrors the first, so a period turns by nothing and is a pure shift of the world.
All positions are of the centre of the own lane; offsets are left positive.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

LANE_WIDTH_M = 3.5
"""Lane width of a motorway (RAL Q31, Germany: 3.5-3.75 m)."""
DASH_PERIOD_M = 18.0
"""A 6 m dash and a 12 m gap (RMS-1, motorways)."""
DASH_LENGTH_M = 6.0
TABLE_STEP_M = 1.0
AHEAD_STEP_M = 2.0


class Piece(NamedTuple):
    """A stretch of road with curvature linear in its length; left curves are positive."""

    length_m: float
    curvature_start: float
    curvature_end: float


class RoadPoint(NamedTuple):
    """The lane centre at one place, in the world frame."""

    x_m: float
    y_m: float
    heading_rad: float
    curvature: float


@dataclass(frozen=True)
class Road:
    """Pieces with what follows from them, computed once: knots, and positions every metre."""

    length_m: float
    knot_s_m: Array
    knot_heading_rad: Array
    knot_curvature: Array
    curvature_slope: Array
    table_x_m: Array
    table_y_m: Array
    shift_m: tuple[float, float]
    """World shift of a whole period."""


def build_road(pieces: list[Piece]) -> Road:
    """The endless road that repeats `pieces` and their mirror image."""
    whole = pieces + [Piece(p.length_m, -p.curvature_start, -p.curvature_end) for p in pieces]
    length = np.array([p.length_m for p in whole])
    start = np.array([p.curvature_start for p in whole])
    end = np.array([p.curvature_end for p in whole])
    turn = np.concatenate([[0.0], np.cumsum(length * (start + end) / 2.0)])
    knots = np.concatenate([[0.0], np.cumsum(length)])
    none = np.empty(0)
    bare = Road(float(knots[-1]), knots[:-1], turn[:-1], start, (end - start) / length, none, none, (0.0, 0.0))
    steps = int(bare.length_m / TABLE_STEP_M)
    x_m, y_m = _integrate(heading(bare, np.linspace(0.0, steps * TABLE_STEP_M, 2 * steps + 1)), TABLE_STEP_M)
    rest_m = bare.length_m - steps * TABLE_STEP_M
    angle = float(heading(bare, np.array([bare.length_m - rest_m / 2.0]))[0])
    shift = (float(x_m[-1]) + rest_m * math.cos(angle), float(y_m[-1]) + rest_m * math.sin(angle))
    return replace(bare, table_x_m=x_m, table_y_m=y_m, shift_m=shift)


def highway_pieces(seed: int, curves: int = 12, radius_m: tuple[float, float] = (300.0, 900.0)) -> list[Piece]:
    """A random motorway: straights, then curves to alternating sides with clothoid transitions.

    A curve turns by 45 degrees at most, so the road ahead stays a function y(x) in the vehicle frame.
    """
    draw = random.Random(seed)
    pieces = [Piece(250.0, 0.0, 0.0)]
    for index in range(curves):
        curvature = (-1) ** index / draw.uniform(*radius_m)
        transition_m = draw.uniform(80.0, 110.0)
        arc_m = draw.uniform(0.12, 0.32) / abs(curvature)
        pieces += [Piece(transition_m, 0.0, curvature), Piece(arc_m, curvature, curvature)]
        pieces += [Piece(transition_m, curvature, 0.0), Piece(draw.uniform(40.0, 260.0), 0.0, 0.0)]
    return pieces


def curvature(road: Road, s_m: Array) -> Array:
    """Curvature at each distance along the road, 1/m."""
    along = np.mod(s_m, road.length_m)
    piece = np.searchsorted(road.knot_s_m, along, side="right") - 1
    return road.knot_curvature[piece] + road.curvature_slope[piece] * (along - road.knot_s_m[piece])


def heading(road: Road, s_m: Array) -> Array:
    """Heading of the road at each distance, exact; a whole period adds nothing."""
    along = np.mod(s_m, road.length_m)
    piece = np.searchsorted(road.knot_s_m, along, side="right") - 1
    into = along - road.knot_s_m[piece]
    return road.knot_heading_rad[piece] + into * (road.knot_curvature[piece] + into * road.curvature_slope[piece] / 2.0)


def point_at(road: Road, s_m: float) -> RoadPoint:
    """The lane centre at distance `s_m` in the world frame (error below 1 um)."""
    periods, along = divmod(s_m, road.length_m)
    row = int(along / TABLE_STEP_M)
    rest = along - row * TABLE_STEP_M
    angles = heading(road, np.array([along - rest, along - rest / 2.0, along]))
    cosine, sine = np.cos(angles), np.sin(angles)
    x_m = road.table_x_m[row] + rest * (cosine[0] + 4.0 * cosine[1] + cosine[2]) / 6.0
    y_m = road.table_y_m[row] + rest * (sine[0] + 4.0 * sine[1] + sine[2]) / 6.0
    shift_x, shift_y = road.shift_m
    bend = float(curvature(road, np.array([along]))[0])
    return RoadPoint(float(x_m + periods * shift_x), float(y_m + periods * shift_y), float(angles[2]), bend)


def project(road: Road, x_m: float, y_m: float, near_s_m: float) -> tuple[float, float]:
    """(distance along the road, left offset) of a world position, by Newton from `near_s_m`.

    Converges while the position is nearer to the road than half its radius and `near_s_m` is within some 50 m.
    """
    s_m = near_s_m
    for _ in range(8):
        point = point_at(road, s_m)
        dx, dy = x_m - point.x_m, y_m - point.y_m
        cosine, sine = math.cos(point.heading_rad), math.sin(point.heading_rad)
        along, offset = dx * cosine + dy * sine, dy * cosine - dx * sine
        s_m += along / max(0.3, 1.0 - point.curvature * offset)
        if abs(along) < 1e-7:
            break
    return s_m, offset


def centre_ahead(road: Road, s_m: float, offset_m: float, heading_error_rad: float, x_m: Array) -> Array:
    """Lane centre y at the stations `x_m` of a vehicle frame: `offset_m` left of the centre at `s_m`,
    turned left of the road by `heading_error_rad`. Stations must rise; beyond the end the last tangent goes on."""
    reach_m = float(x_m[-1]) * 1.3 + 10.0
    steps = math.ceil(reach_m / AHEAD_STEP_M)
    start_m = min(0.0, float(x_m[0])) - 4.0
    samples = s_m + start_m + np.arange(2 * steps + 1) * (AHEAD_STEP_M / 2.0)
    angles = heading(road, samples) - heading(road, np.array([s_m])) - heading_error_rad
    along, aside = _integrate(angles, AHEAD_STEP_M)
    here = -start_m / AHEAD_STEP_M
    cosine, sine = math.cos(heading_error_rad), math.sin(heading_error_rad)
    rows = np.arange(len(along))
    along += -offset_m * sine - np.interp(here, rows, along)
    aside += -offset_m * cosine - np.interp(here, rows, aside)
    return np.interp(x_m, along, aside)


def beside(x_m: Array, y_m: Array, offset_m: float, at_x_m: Array) -> Array:
    """y at the stations `at_x_m` of a line that runs `offset_m` to the left of the curve (x, y), all in one frame."""
    slope = np.gradient(y_m, x_m)
    stretch = np.hypot(1.0, slope)
    return np.interp(at_x_m, x_m - offset_m * slope / stretch, y_m + offset_m / stretch)


def _integrate(angles: Array, step_m: float) -> tuple[Array, Array]:
    """Positions every `step_m` from headings every half step (Simpson)."""

    def along(part: Array) -> Array:
        return np.concatenate([[0.0], np.cumsum(part[:-2:2] + 4.0 * part[1::2] + part[2::2])]) * (step_m / 6.0)

    return along(np.cos(angles)), along(np.sin(angles))
