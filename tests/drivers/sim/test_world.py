from __future__ import annotations

import math

import numpy as np
import pytest

from cardan.drivers.sim.driver import DriverConfig, drive
from cardan.drivers.sim.world import STATIONS_M, World, WorldConfig
from cardan.runtime.messages import SimTruth


def driven(world: World, seconds: float, dt_s: float = 0.01) -> list[SimTruth]:
    truths = []
    for _ in range(round(seconds / dt_s)):
        truths.append(world.truth())
        world.step(dt_s, *drive(DriverConfig(), truths[-1]))
    return truths


def test_the_same_inputs_give_the_same_world() -> None:
    assert driven(World(WorldConfig()), 1.0) == driven(World(WorldConfig()), 1.0)


def test_another_seed_is_another_road() -> None:
    assert driven(World(WorldConfig(start_s_m=400.0)), 0.1) != driven(World(WorldConfig(start_s_m=400.0, seed=4)), 0.1)


def test_it_starts_as_configured() -> None:
    truth = World(WorldConfig(start_offset_m=0.5, start_speed_mps=12.0, lead_gap_m=30.0)).truth(driver_in_control=True)
    assert truth.lane_offset_m == pytest.approx(0.5)
    assert truth.speed_mps == 12.0
    assert truth.lead_gap_m == pytest.approx(30.0)
    assert truth.lead_x_m == pytest.approx(30.0 + 4.508 - 1.08)
    assert truth.lead_y_m == pytest.approx(-0.5)
    assert truth.driver_in_control


def test_the_lane_centre_starts_opposite_to_our_offset() -> None:
    truth = World(WorldConfig(start_offset_m=0.7)).truth()
    assert truth.centre_x_m == tuple(STATIONS_M)
    assert truth.centre_y_m[0] == pytest.approx(-0.7)


def test_a_world_without_a_lead_has_none() -> None:
    truth = World(WorldConfig(lead=False)).truth()
    assert (truth.lead_present, truth.lead_gap_m) == (False, 0.0)


def test_a_lead_out_of_sight_is_absent() -> None:
    assert not World(WorldConfig(lead_gap_m=160.0)).truth().lead_present


def test_the_lead_stands_on_the_lane_centre_also_in_a_curve() -> None:
    for truth in driven(World(WorldConfig(start_s_m=400.0)), 4.0)[::50]:
        centre = np.interp(truth.lead_x_m, truth.centre_x_m, truth.centre_y_m)
        assert truth.lead_y_m == pytest.approx(centre, abs=0.02)


def test_the_offset_of_the_middle_is_that_of_a_projection() -> None:
    """The truth takes a short cut; the longer way is the world position of the middle of the vehicle."""
    for truth in driven(World(WorldConfig(start_offset_m=0.8)), 3.0)[::50]:
        x_m, y_m = np.asarray(truth.centre_x_m), np.asarray(truth.centre_y_m)
        slope = math.atan(np.interp(1.17, x_m, np.gradient(y_m, x_m)))
        nearest = -np.interp(1.17, x_m, y_m) * math.cos(slope)
        assert truth.lane_offset_m == pytest.approx(nearest, abs=0.01)


def test_steering_left_moves_left() -> None:
    world = World(WorldConfig())
    for _ in range(100):
        world.step(0.01, 0.01, 0.0)
    truth = world.truth()
    assert truth.lane_offset_m > 0.1
    assert truth.step == 100


@pytest.mark.slow
def test_the_driver_keeps_lane_and_distance_for_ten_minutes() -> None:
    truths = driven(World(WorldConfig(start_offset_m=0.5)), 600.0, dt_s=0.05)
    offsets = np.abs([truth.lane_offset_m for truth in truths])
    gaps = [truth.lead_gap_m for truth in truths if truth.lead_present]
    assert offsets.max() < 0.6
    assert np.percentile(offsets, 95) < 0.15
    assert min(gaps) > 2.0
    assert min(truth.speed_mps for truth in truths) == 0.0
    assert any(not truth.lead_present for truth in truths)
