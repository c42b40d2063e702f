from __future__ import annotations

import itertools

import pytest

from cardan.drivers.sim.traffic import FAR_M, LEAD_PROFILE, Lead, profile_speed, step_lead

PERIOD_S = LEAD_PROFILE[-1].time_s


def test_the_profile_goes_through_its_knots_and_starts_again() -> None:
    for knot in LEAD_PROFILE[:-1]:
        assert profile_speed(LEAD_PROFILE, knot.time_s) == pytest.approx(knot.speed_mps)
        assert profile_speed(LEAD_PROFILE, knot.time_s + 3 * PERIOD_S) == pytest.approx(knot.speed_mps)


def test_the_lead_cruises_slows_stops_and_speeds_away() -> None:
    speeds = [profile_speed(LEAD_PROFILE, time_s) for time_s in range(round(PERIOD_S))]
    assert min(speeds) == 0.0
    assert speeds.count(0.0) >= 7
    assert max(speeds) > 30.0


def test_the_lead_never_brakes_harder_than_an_adaptive_cruise_can() -> None:
    """ISO 15622 allows an adaptive cruise 3.5 m/s2 at these speeds."""
    speeds = [profile_speed(LEAD_PROFILE, 0.1 * tenth) for tenth in range(round(PERIOD_S * 10))]
    steepest = min(b - a for a, b in itertools.pairwise(speeds)) / 0.1
    assert steepest > -3.5


def test_the_lead_covers_its_speed_times_time() -> None:
    lead = Lead(rear_s_m=100.0, speed_mps=22.0)
    for _ in range(500):
        lead = step_lead(lead, LEAD_PROFILE, 0.01, our_front_s_m=100.0)
    assert lead.rear_s_m == pytest.approx(100.0 + 5.0 * 22.0)


def test_a_lead_that_speeds_away_stays_where_it_can_be_caught_up_with() -> None:
    lead = Lead(rear_s_m=500.0, speed_mps=30.0)
    assert step_lead(lead, LEAD_PROFILE, 0.01, our_front_s_m=100.0).rear_s_m == 100.0 + FAR_M
