import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import ns
from cardan.runtime.reference.longitudinal import LeadTracker, LongitudinalConfig, cruise_accel

CONFIG = LongitudinalConfig()
PERIOD_NS = ns(0.05)


def feed(tracker: LeadTracker, gaps: list[float | None], start_ns: int = 0) -> int:
    stamp_ns = start_ns
    for gap in gaps:
        stamp_ns += PERIOD_NS
        tracker.measure(stamp_ns, gap)
    return stamp_ns


def test_one_sighting_is_not_yet_a_lead() -> None:
    tracker = LeadTracker(CONFIG)
    now_ns = feed(tracker, [30.0])
    assert tracker.gap_now_m(now_ns) is None
    now_ns = feed(tracker, [30.0], now_ns)
    assert tracker.gap_now_m(now_ns) == pytest.approx(30.0)


def test_the_closing_speed_is_found_in_noise() -> None:
    noise = random.Random(7)
    tracker = LeadTracker(CONFIG)
    feed(tracker, [60.0 - 5.0 * 0.05 * n + noise.gauss(0, 0.5) for n in range(80)])
    assert tracker.rate_mps == pytest.approx(-5.0, abs=1.5)


def test_a_short_gap_in_the_sightings_is_bridged_and_a_long_one_ends_the_lead() -> None:
    tracker = LeadTracker(CONFIG)
    now_ns = feed(tracker, [30.0] * 20 + [None] * 4)
    assert tracker.gap_now_m(now_ns) == pytest.approx(30.0, abs=0.1)
    now_ns = feed(tracker, [None] * 8, now_ns)
    assert tracker.gap_now_m(now_ns) is None


def test_a_new_lead_starts_a_new_estimate() -> None:
    tracker = LeadTracker(CONFIG)
    now_ns = feed(tracker, [30.0 - n for n in range(10)] + [None] * 15)
    now_ns = feed(tracker, [80.0, 80.0], now_ns)
    assert tracker.gap_now_m(now_ns) == pytest.approx(80.0, abs=0.5)


def test_on_a_free_road_the_set_speed_is_kept() -> None:
    assert cruise_accel(CONFIG, CONFIG.set_speed_mps, None, 0.0) == pytest.approx(0.0)
    assert cruise_accel(CONFIG, 0.0, None, 0.0) == pytest.approx(CONFIG.comfort_accel_mps2)


@given(st.floats(0, 40), st.one_of(st.none(), st.floats(0.1, 200)), st.floats(-40, 40))
def test_the_acceleration_stays_within_its_limits(speed: float, gap: float | None, rate: float) -> None:
    assert CONFIG.accel_min_mps2 <= cruise_accel(CONFIG, speed, gap, rate) <= CONFIG.accel_max_mps2


@given(st.floats(1, 30), st.floats(3, 100), st.floats(0.5, 20))
def test_a_nearer_lead_is_never_accelerated_towards_harder(speed: float, gap: float, nearer: float) -> None:
    assert cruise_accel(CONFIG, speed, gap, 0.0) <= cruise_accel(CONFIG, speed, gap + nearer, 0.0)


def test_behind_a_braking_lead_the_vehicle_never_touches_it() -> None:
    """A lead brakes from 25 m/s to standstill at 3 m/s2; the follower is driven by the model alone."""
    gap, lead, own, step = 50.0, 25.0, 25.0, 0.01
    smallest = gap
    for _ in range(4000):
        lead = max(0.0, lead - 3.0 * step)
        own = max(0.0, own + cruise_accel(CONFIG, own, gap, lead - own) * step)
        gap += (lead - own) * step
        smallest = min(smallest, gap)
    assert own < 0.05
    assert 2.0 < smallest < 6.0


def test_the_closing_speed_of_a_new_lead_is_known_after_a_third_of_a_second() -> None:
    noise = random.Random(3)
    tracker = LeadTracker(CONFIG)
    feed(tracker, [70.0 - 12.0 * 0.05 * n + noise.gauss(0, 0.3) for n in range(8)])
    assert tracker.rate_mps == pytest.approx(-12.0, abs=3.0)
