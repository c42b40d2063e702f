"""The envelope: each limit, its code, and that nothing outside ever comes out, whatever comes in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardan.firmware_bridge.envelope import (
    ACCEL_MAXIMUM_MPS2,
    ACCEL_MINIMUM_MPS2,
    STEERING_MAXIMUM_RAD,
    Accepted,
    Envelope,
    State,
    Verdict,
    advance,
    check,
    envelope_hash,
    is_number,
    limit,
    place_limits,
    refuse,
    start,
)
from cardan.firmware_bridge.limits import read_envelope

PERIOD_S = 0.01
WHEELBASE_M = 2.5
STEERING: dict[str, object] = {
    "minimum": -0.5,
    "maximum": 0.5,
    "rate_per_s": 1.0,
    "change_per_window": 0.2,
    "wheelbase_m": WHEELBASE_M,
    "maximum_by_speed": [[0.0, 0.5], [10.0, 0.1], [30.0, 0.02]],
}
ACCEL: dict[str, object] = {"minimum": -3.5, "maximum": 2.0, "rate_per_s": 10.0}


def envelope_of(**changes: object) -> Envelope:
    """Steering and acceleration; changes go to the steering table."""
    return read_envelope({"steering_rad": {**STEERING, **changes}, "accel_mps2": ACCEL}, period_s=PERIOD_S)


def state_at(envelope: Envelope, steering: float = 0.0, accel: float = 0.0) -> State:
    return start(envelope, {"steering_rad": steering, "accel_mps2": accel})


def judge(
    envelope: Envelope,
    steering: object = 0.0,
    accel: object = 0.0,
    *,
    at: float = 0.0,
    speed_mps: float = 0.0,
    age_s: float = 0.0,
) -> Verdict:
    command = {"steering_rad": steering, "accel_mps2": accel}
    return check(envelope, command, age_s=age_s, speed_mps=speed_mps, state=state_at(envelope, at))


def test_a_command_inside_every_limit_is_accepted_as_it_is() -> None:
    verdict = judge(envelope_of(), 0.009, -0.09)
    assert (verdict.accepted, verdict.usable, verdict.reason) == (True, True, "ok")
    assert verdict.values == {"steering_rad": 0.009, "accel_mps2": -0.09}


@pytest.mark.parametrize(
    ("steering", "at", "speed_mps", "reason", "sent"),
    [
        (0.51, 0.495, 0.0, "range:steering_rad", 0.5),
        (-0.51, -0.495, 0.0, "range:steering_rad", -0.5),
        (0.41, 0.405, 2.0, "ok", 0.41),
        (0.425, 0.415, 2.0, "speed:steering_rad", 0.42),
        (0.2, 0.0, 0.0, "rate:steering_rad", 0.01),
        (-0.2, 0.0, 0.0, "rate:steering_rad", -0.01),
    ],
)
def test_each_limit_has_its_code_and_its_nearest_value(
    steering: float, at: float, speed_mps: float, reason: str, sent: float
) -> None:
    verdict = judge(envelope_of(), steering, at=at, speed_mps=speed_mps)
    assert verdict.reason == reason
    assert verdict.usable
    assert verdict.accepted is (reason == "ok")
    assert verdict.values["steering_rad"] == pytest.approx(sent, abs=1e-12)


def test_the_ends_of_every_limit_are_inside() -> None:
    for end in (0.5, -0.5):
        assert judge(envelope_of(), end, at=end).accepted


@pytest.mark.parametrize("end", [0.5, -0.5])
def test_at_the_end_of_a_limit_it_is_the_limit_beyond_that_is_named(end: float) -> None:
    assert judge(envelope_of(), end, at=0.0).reason == "rate:steering_rad"


def test_no_signal_but_a_steering_angle_has_lateral_limits() -> None:
    assert judge(envelope_of(), 0.0, 0.05, speed_mps=20.0).accepted


def test_the_widest_limits_are_those_of_the_standards() -> None:
    assert (ACCEL_MINIMUM_MPS2, ACCEL_MAXIMUM_MPS2, STEERING_MAXIMUM_RAD) == (-3.5, 2.0, 1.2)


def test_the_first_signal_that_is_outside_gives_the_reason() -> None:
    assert judge(envelope_of(), 0.0, 0.2).reason == "rate:accel_mps2"
    assert judge(envelope_of(), 0.2, 0.2).reason == "rate:steering_rad"


def test_the_speed_table_is_linear_between_its_rows_and_constant_outside() -> None:
    envelope = envelope_of(maximum_by_speed=[[5.0, 0.4], [10.0, 0.2]], rate_per_s=100.0, change_per_window=2.0)
    for speed_mps, largest in ((0.0, 0.4), (5.0, 0.4), (7.5, 0.3), (10.0, 0.2), (11.0, 0.2)):
        low, high = judge(envelope, speed_mps=speed_mps).bounds["steering_rad"]
        lateral = math.atan(WHEELBASE_M * 5.0 * PERIOD_S / speed_mps**2) if speed_mps else math.inf
        assert high == pytest.approx(min(largest, lateral), abs=1e-12)
        assert low == -high


@pytest.mark.parametrize(
    ("speed_mps", "largest"),
    [(0.0, 0.4), (4.0, 0.4), (5.0, 0.4), (7.5, 0.3), (10.0, 0.2), (15.0, 0.15), (20.0, 0.1), (30.0, 0.1)],
)
def test_the_speed_table_alone(speed_mps: float, largest: float) -> None:
    table = {**ACCEL, "maximum_by_speed": [[5.0, 0.4], [10.0, 0.2], [20.0, 0.1]]}
    (limits,) = read_envelope({"accel_mps2": table}, period_s=PERIOD_S).signals
    (code, low, high) = place_limits(limits, speed_mps)[1]
    assert code == "speed"
    assert high == pytest.approx(largest)
    assert low == -high


def test_lateral_acceleration_never_exceeds_three_metres_per_second_squared() -> None:
    envelope = envelope_of(maximum_by_speed=[], lateral_jerk_mps3=5.0)
    at = math.atan(WHEELBASE_M * 3.0 / 20.0**2)
    verdict = judge(envelope, at + 1e-6, at=at, speed_mps=20.0)
    assert verdict.reason == "lateral-accel:steering_rad"
    assert 20.0**2 * math.tan(verdict.values["steering_rad"]) / WHEELBASE_M == pytest.approx(3.0)


def test_lateral_jerk_never_exceeds_five_metres_per_second_cubed() -> None:
    verdict = judge(envelope_of(), 0.009, speed_mps=20.0)
    assert verdict.reason == "lateral-jerk:steering_rad"
    assert 20.0**2 * math.tan(verdict.values["steering_rad"]) / WHEELBASE_M / PERIOD_S == pytest.approx(5.0)


@pytest.mark.parametrize("speed_mps", [5e-324, 1e-200, 1e200, 1.7e308])
def test_the_smallest_and_the_greatest_speed_are_speeds(speed_mps: float) -> None:
    verdict = judge(envelope_of(), 0.4, at=0.1, speed_mps=speed_mps)
    assert verdict.values["steering_rad"] == pytest.approx(0.11 if speed_mps < 1 else 0.1)


def test_backwards_counts_as_fast_as_forwards() -> None:
    assert judge(envelope_of(), 0.009, speed_mps=-20.0) == judge(envelope_of(), 0.009, speed_mps=20.0)
    assert judge(envelope_of(), 0.3, at=0.3, speed_mps=-10.0) == judge(envelope_of(), 0.3, at=0.3, speed_mps=10.0)
    state = state_at(envelope_of(), 0.45)  # at 2 m/s the table allows 0.42
    assert refuse(envelope_of(), "x", -2.0, state) == refuse(envelope_of(), "x", 2.0, state)


def test_the_change_in_any_quarter_second_is_limited_beyond_the_rate() -> None:
    envelope = envelope_of(maximum_by_speed=[])
    state = state_at(envelope)
    for _ in range(30):
        verdict = check(envelope, {"steering_rad": 0.5, "accel_mps2": 0.0}, age_s=0.0, speed_mps=0.0, state=state)
        state = advance(envelope, state, verdict.values)
        window = state["steering_rad"].window
        assert max(window) - min(window) <= 0.2 + 1e-12
    assert state["steering_rad"].last < 0.26  # at the rate alone it would be 0.3


def test_the_window_has_its_own_code() -> None:
    envelope = envelope_of(maximum_by_speed=[])
    state = {**state_at(envelope), "steering_rad": Accepted(0.199, (0.0, 0.199))}
    verdict = check(envelope, {"steering_rad": 0.205, "accel_mps2": 0.0}, age_s=0.0, speed_mps=0.0, state=state)
    assert (verdict.reason, verdict.values["steering_rad"]) == ("window:steering_rad", 0.2)
    state = {**state_at(envelope), "steering_rad": Accepted(-0.199, (0.0, -0.199))}
    verdict = check(envelope, {"steering_rad": -0.205, "accel_mps2": 0.0}, age_s=0.0, speed_mps=0.0, state=state)
    assert (verdict.reason, verdict.values["steering_rad"]) == ("window:steering_rad", -0.2)


def test_the_window_forgets_after_a_quarter_second() -> None:
    envelope = envelope_of()
    state = state_at(envelope)
    for number in range(60):
        state = advance(envelope, state, {"steering_rad": number * 0.001, "accel_mps2": 0.0})
        assert len(state["steering_rad"].window) == min(25, number + 2)
    assert state["steering_rad"].window == tuple(number * 0.001 for number in range(35, 60))


def test_one_period_that_fills_the_window_keeps_only_the_last_value() -> None:
    envelope = read_envelope({"accel_mps2": ACCEL}, period_s=0.25)
    state = advance(envelope, start(envelope, {"accel_mps2": 0.0}), {"accel_mps2": 1.0})
    assert state["accel_mps2"] == Accepted(1.0, (1.0,))
    assert replace(envelope, period_s=1.0).window_periods == 1


@pytest.mark.parametrize("age_s", [0.0, 0.03])
def test_a_command_of_up_to_three_periods_is_fresh(age_s: float) -> None:
    assert judge(envelope_of(), 0.005, age_s=age_s).accepted


@pytest.mark.parametrize("age_s", [0.0301, 1.0, -0.001, math.nan, math.inf])
def test_an_older_command_or_one_from_the_future_is_stale(age_s: float) -> None:
    verdict = judge(envelope_of(), 0.005, at=0.002, age_s=age_s)
    assert (verdict.accepted, verdict.usable, verdict.reason) == (False, False, "stale")
    assert verdict.values["steering_rad"] == 0.002


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.1", True, 10**400, b"", [0.1], 1j])
def test_what_is_no_number_is_refused_and_the_last_value_is_held(value: object) -> None:
    verdict = judge(envelope_of(), 0.001, value, at=0.002)
    assert (verdict.accepted, verdict.usable, verdict.reason) == (False, False, "not-a-number:accel_mps2")
    assert verdict.values == {"steering_rad": 0.002, "accel_mps2": 0.0}


def test_whole_numbers_and_subnormal_numbers_are_numbers() -> None:
    assert judge(envelope_of(), 0, -0).accepted
    assert judge(envelope_of(), 5e-324, -5e-324).accepted
    for sign in (1, -1):
        assert is_number(sign * 2**53)
        assert not is_number(sign * (2**53 + 1))


def test_a_command_that_lacks_a_signal_is_refused() -> None:
    envelope = envelope_of()
    verdict = check(envelope, {"steering_rad": 0.0}, age_s=0.0, speed_mps=0.0, state=state_at(envelope))
    assert (verdict.usable, verdict.reason) == (False, "missing:accel_mps2")


def test_a_violation_of_a_drop_signal_refuses_the_whole_command() -> None:
    verdict = judge(envelope_of(on_violation="drop"), 0.2, 0.05, at=0.002)
    assert (verdict.accepted, verdict.usable, verdict.reason) == (False, False, "rate:steering_rad")
    assert verdict.values == {"steering_rad": 0.002, "accel_mps2": 0.0}
    assert not judge(envelope_of(on_violation="drop"), 0.2, 0.5).usable  # whatever else would be clamped


def test_the_guards_own_values_are_clamped_even_where_commands_are_dropped() -> None:
    envelope = envelope_of(on_violation="drop")
    wanted = {"steering_rad": 0.2, "accel_mps2": 0.0}
    verdict = limit(envelope, wanted, speed_mps=0.0, state=state_at(envelope), drop=False)
    assert verdict.usable
    assert verdict.values["steering_rad"] == pytest.approx(0.01)


@pytest.mark.parametrize("speed_mps", [math.nan, math.inf, -math.inf])
def test_without_a_known_speed_nothing_moves(speed_mps: float) -> None:
    verdict = judge(envelope_of(), 0.005, 0.05, at=0.002, speed_mps=speed_mps)
    assert (verdict.usable, verdict.reason) == (False, "speed-unknown")
    assert verdict.values == {"steering_rad": 0.002, "accel_mps2": 0.0}
    assert verdict.bounds["steering_rad"] == (0.002, 0.002)


def test_when_the_speed_has_risen_the_value_returns_as_fast_as_one_period_allows() -> None:
    for at, sign in ((0.3, 1), (-0.3, -1)):
        verdict = judge(envelope_of(), at, at=at, speed_mps=10.0)
        step = abs(math.tan(0.3) - math.tan(abs(verdict.values["steering_rad"])))
        assert verdict.reason == "speed:steering_rad"
        assert 0 < sign * verdict.values["steering_rad"] < 0.3
        assert step == pytest.approx(5.0 * PERIOD_S * WHEELBASE_M / 10.0**2)


def test_a_refused_command_holds_the_last_value_only_as_far_as_the_speed_allows() -> None:
    envelope = envelope_of()
    verdict = refuse(envelope, "no-command", 10.0, state_at(envelope, 0.3))
    assert 0 < verdict.values["steering_rad"] < 0.3
    assert verdict.reason == "no-command"


def test_a_ramp_begins_inside_the_range_wherever_the_actuator_was_measured() -> None:
    state = state_at(envelope_of(), 0.7, -9.0)
    assert state == {"steering_rad": Accepted(0.5, (0.5,)), "accel_mps2": Accepted(-3.5, (-3.5,))}


def test_a_controller_that_goes_on_from_the_answer_is_not_locked_out() -> None:
    """The recorded minute: one over-step of 20 where 15 are allowed cost 1.2 s of steering elsewhere."""
    envelope = envelope_of(on_violation="drop", maximum_by_speed=[])
    state = state_at(envelope)
    wanted, refused = 0.0, 0
    for step in (0.008, 0.008, 0.02, 0.008, 0.008, 0.008):
        wanted = state["steering_rad"].last + step
        verdict = check(envelope, {"steering_rad": wanted, "accel_mps2": 0.0}, age_s=0, speed_mps=0, state=state)
        refused += not verdict.accepted
        state = advance(envelope, state, verdict.values)
    assert refused == 1


# ------------------------------------------------------------------------------------------------------------ the hash


def test_the_hash_does_not_depend_on_order_or_on_how_a_number_is_written() -> None:
    one = {"a": {"minimum": -1, "rows": [[0, 1], (2.5, 3)]}, "b": {"on": True}}
    other = {"b": {"on": True}, "a": {"rows": [[0.0, 1.0], [2.5, 3.0]], "minimum": -1.0}}
    assert envelope_hash(one) == envelope_hash(other)
    assert len(envelope_hash(one)) == 16


def test_the_hash_of_a_known_table_never_changes() -> None:
    assert envelope_hash({"accel_mps2": ACCEL}) == "2caf58bd722c2248"
    assert envelope_hash({"größe": {"minimum": 1}}) == "146806d0a4faa547"


def test_every_change_of_a_limit_changes_the_hash() -> None:
    hashes = {envelope_hash({"s": {**STEERING, "maximum": 0.5 - step / 1e9}}) for step in range(50)}
    assert len(hashes) == 50


def test_a_row_of_a_table_and_the_kind_of_a_value_count_for_the_hash() -> None:
    assert envelope_hash({"a": {"rows": [[0.0, 1.0]]}}) != envelope_hash({"a": {"rows": [[0.0, 2.0]]}})
    assert envelope_hash({"a": {"on": True}}) != envelope_hash({"a": {"on": 1}})


def test_an_infinite_limit_has_no_hash() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        envelope_hash({"a": {"maximum": math.inf}})


# -------------------------------------------------------------------------------------------------------- by property

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
NEAR = st.floats(-0.6, 0.6) | st.floats(-0.011, 0.011) | ANY_FLOAT
SPEED = st.floats(0.0, 60.0)


def allowed_now(envelope: Envelope, state: State, speed_mps: float, values: Mapping[str, float]) -> None:
    """An independent reading of the limits: static range, rate and window always; place, or moving towards it."""
    steering, last = values["steering_rad"], state["steering_rad"].last
    window = state["steering_rad"].window
    assert -0.5 <= steering <= 0.5
    assert abs(steering - last) <= 1.0 * PERIOD_S + 1e-12
    assert max(*window, steering) - min(*window, steering) <= 0.2 + 1e-12
    change = abs(math.tan(steering) - math.tan(last)) * speed_mps**2 / WHEELBASE_M / PERIOD_S
    assert change <= 5.0 + 1e-6
    by_table = 0.5 - 0.04 * speed_mps if speed_mps <= 10 else max(0.02, 0.1 - 0.004 * (speed_mps - 10))
    lateral = abs(math.tan(steering)) * speed_mps**2 / WHEELBASE_M
    inside = abs(steering) <= by_table + 1e-12 and lateral <= 3.0 + 1e-9
    assert inside or abs(steering) <= abs(last) + 1e-12
    assert -3.5 <= values["accel_mps2"] <= 2.0
    assert abs(values["accel_mps2"] - state["accel_mps2"].last) <= 0.1 + 1e-12


@settings(max_examples=150)
@given(steps=st.lists(st.tuples(NEAR, st.floats(-5, 5) | ANY_FLOAT, SPEED), min_size=1, max_size=60))
def test_whatever_is_commanded_in_whatever_order_only_allowed_values_come_out(
    steps: list[tuple[float, float, float]],
) -> None:
    envelope = envelope_of()
    state = state_at(envelope)
    for steering, accel, speed_mps in steps:
        command = {"steering_rad": steering, "accel_mps2": accel}
        verdict = check(envelope, command, age_s=0.0, speed_mps=speed_mps, state=state)
        allowed_now(envelope, state, speed_mps, verdict.values)
        for name, (low, high) in verdict.bounds.items():
            assert low <= verdict.values[name] <= high
        if verdict.accepted:
            assert verdict.values == command
        state = advance(envelope, state, verdict.values)


@given(steering=st.floats(-0.6, 0.6), at=st.floats(-0.5, 0.5), speed_mps=SPEED)
def test_what_was_clamped_is_accepted_when_it_is_asked_for(steering: float, at: float, speed_mps: float) -> None:
    envelope = envelope_of()
    first = judge(envelope, steering, at=at, speed_mps=speed_mps)
    again = judge(envelope, first.values["steering_rad"], at=at, speed_mps=speed_mps)
    assert again.values == first.values
    assert again.accepted or again.reason.startswith(("speed", "lateral-accel"))
