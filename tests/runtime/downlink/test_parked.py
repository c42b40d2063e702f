"""Parked is what this computer sees for long enough; everything else is driving."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.downlink.parked import DISENGAGED, STANDING_FOR_S, STANDING_MPS, Parked

S = NS_PER_S
SPEEDS = st.floats(allow_nan=True, allow_infinity=True)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2 * S), SPEEDS | st.just(0.0), st.booleans(), st.sampled_from(["disabled", "enabled", ""])
    ),
    max_size=40,
)


def stands(seconds: int) -> Parked:
    parked = Parked()
    for tenth in range(10 * seconds + 1):
        parked.speed(0.0, True, tenth * S // 10)
        parked.engagement("disabled", tenth * S // 10)
    return parked


def test_a_vehicle_that_stands_and_is_not_engaged_is_parked_after_a_while() -> None:
    assert "stood for 4.0 s only" in stands(4).reason_against(4 * S)
    assert stands(6).reason_against(6 * S) == ""


def test_what_is_not_known_counts_as_driving() -> None:
    assert "does not say who drives" in Parked().reason_against(0)
    parked = stands(6)
    assert "does not say who drives" in parked.reason_against(8 * S)
    parked.engagement("disabled", 8 * S)
    assert "speed of the vehicle is not known" in parked.reason_against(8 * S)
    parked.engagement("enabled", 8 * S)
    assert "engaged (enabled)" in parked.reason_against(8 * S)


def test_a_speed_that_is_not_valid_or_no_number_begins_the_wait_anew() -> None:
    for speed_mps, valid in ((0.0, False), (math.nan, True), (math.inf, True), (5.0, True)):
        parked = stands(6)
        parked.speed(speed_mps, valid, 6 * S)
        parked.engagement("disabled", 6 * S)
        assert parked.reason_against(6 * S) == "the vehicle moves"


@given(STEPS)
def test_whatever_comes_parked_means_five_seconds_of_fresh_standing_and_nobody_engaged(
    steps: list[tuple[int, float, bool, str]],
) -> None:
    parked, now_ns = Parked(), 0
    history: list[tuple[int, bool]] = []
    engagement = ""
    for elapsed_ns, speed_mps, valid, engagement in steps:
        now_ns += elapsed_ns
        parked.speed(speed_mps, valid, now_ns)
        parked.engagement(engagement, now_ns)
        history.append((now_ns, valid and math.isfinite(speed_mps) and abs(speed_mps) <= STANDING_MPS))
    if parked.reason_against(now_ns) == "":
        since_ns = now_ns - round(STANDING_FOR_S * S)
        assert engagement in DISENGAGED
        assert history[0][0] <= since_ns
        recent = [stood for stamp_ns, stood in history if stamp_ns >= since_ns]
        assert all(recent) and recent
