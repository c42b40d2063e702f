"""Zones and the grid: held against geometry, for random positions of the whole earth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.errors import ConfigError
from cardan.runtime.privacy.places import METRES_PER_DEGREE, Position, distance_m, is_inside, on_grid, position_or_none
from cardan.runtime.privacy.settings import Zone

LATITUDES = st.floats(-90, 90, allow_nan=False)
LONGITUDES = st.floats(-180, 180, allow_nan=False)
POSITIONS = st.builds(Position, LATITUDES, LONGITUDES)
GRIDS_M = st.floats(1, 100_000)


def test_the_distance_from_the_north_pole_to_the_equator_is_a_quarter_of_the_circumference() -> None:
    assert distance_m(Position(90, 0), Position(0, 57)) == pytest.approx(90 * METRES_PER_DEGREE)


@given(POSITIONS, POSITIONS)
def test_a_distance_is_the_same_both_ways_and_no_longer_than_half_the_earth(one: Position, other: Position) -> None:
    there = distance_m(one, other)
    assert there == pytest.approx(distance_m(other, one), abs=1e-3)
    assert 0 <= there <= 180 * METRES_PER_DEGREE + 1


@given(POSITIONS, GRIDS_M)
def test_a_position_on_the_grid_is_less_than_a_square_away_and_stays_where_it_is(at: Position, grid_m: float) -> None:
    coarse = on_grid(at, grid_m)
    assert position_or_none(*coarse) == coarse
    assert distance_m(at, coarse) < grid_m * 1.01
    assert on_grid(coarse, grid_m) == coarse


@given(st.builds(Position, st.floats(-80, 80), LONGITUDES), st.floats(10, 10_000))
def test_away_from_the_poles_a_square_is_as_wide_as_it_says(at: Position, grid_m: float) -> None:
    assert distance_m(at, on_grid(at, grid_m)) <= grid_m * 0.72


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(50, 5000), st.floats(0, 2 * math.pi), st.floats(0, 2))
def test_a_circle_holds_what_is_nearer_than_its_radius(
    latitude: float, longitude: float, radius_m: float, bearing_rad: float, share: float
) -> None:
    zone = Zone(name="z", latitude_deg=latitude, longitude_deg=longitude, radius_m=radius_m)
    north_m, east_m = radius_m * share * math.cos(bearing_rad), radius_m * share * math.sin(bearing_rad)
    at = Position(
        latitude + north_m / METRES_PER_DEGREE,
        longitude + east_m / (METRES_PER_DEGREE * math.cos(math.radians(latitude))),
    )
    if not 0.99 < share < 1.01:  # the flat reckoning above is no better
        assert is_inside(zone, at) == (share < 1)


@given(st.floats(-80, 79), st.floats(-179, 178), LATITUDES, LONGITUDES)
def test_a_ring_of_a_rectangle_holds_what_the_rectangle_holds(
    south: float, west: float, latitude: float, longitude: float
) -> None:
    corners = [(south, west), (south, west + 1), (south + 1, west + 1), (south + 1, west)]
    expected = south <= latitude < south + 1 and west <= longitude < west + 1
    assert is_inside(Zone(name="z", corners=corners), Position(latitude, longitude)) == expected


def test_a_ring_may_have_a_bay_and_the_bay_is_outside() -> None:
    ring = Zone(name="u", corners=[(0, 0), (0, 3), (3, 3), (3, 2), (1, 2), (1, 1), (3, 1), (3, 0)])
    assert is_inside(ring, Position(2, 0.5)) and is_inside(ring, Position(2, 2.5))
    assert not is_inside(ring, Position(2, 1.5))


@pytest.mark.parametrize("bad", [(math.nan, 0), (0, math.inf), (91, 0), (0, 181), ("1", 2), (True, 0), (None, None)])
def test_what_is_no_position_is_none(bad: tuple[object, object]) -> None:
    assert position_or_none(*bad) is None


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"latitude_deg": 1.0, "longitude_deg": 1.0},
        {"corners": [(0, 0), (1, 1)]},
        {"corners": [(0, 0), (1, 1), (0, 1)], "radius_m": 5.0},
        {"latitude_deg": 1.0, "longitude_deg": 1.0, "radius_m": math.inf},
    ],
)
def test_a_zone_that_is_no_place_is_refused_by_name(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match='"home"'):
        Zone(name="home", **bad)  # type: ignore[arg-type]
