"""Limits of a manifest: what is read, what is filled in, and that nothing wider than the standards is accepted."""

from __future__ import annotations

import math

import pytest

from cardan.firmware_bridge.envelope import envelope_hash
from cardan.firmware_bridge.limits import read_envelope
from cardan.runtime.errors import ConfigError
from cardan.runtime.limits import envelope_hash as manifest_hash

STEERING: dict[str, object] = {"minimum": -0.5, "maximum": 0.5, "rate_per_s": 0.6, "wheelbase_m": 2.7}
ACCEL: dict[str, object] = {"minimum": -3.0, "maximum": 1.5, "rate_per_s": 8.0}


def test_what_is_not_said_gets_the_figures_of_the_standards() -> None:
    envelope = read_envelope({"steering_rad": STEERING, "accel_mps2": ACCEL}, period_s=0.01)
    steering, accel = envelope.signals
    assert (steering.quantity, accel.quantity) == ("steering_angle", "acceleration")
    assert (steering.lateral_accel_mps2, steering.lateral_jerk_mps3) == (3.0, 5.0)
    assert (steering.change_per_window, steering.on_violation, steering.safe_value) == (0.15, "clamp", 0.0)
    assert (accel.wheelbase_m, accel.lateral_accel_mps2, accel.maximum_by_speed) == (0.0, 0.0, ())
    assert envelope.max_age_s == pytest.approx(0.03)
    assert envelope.window_periods == 25


def test_what_is_said_is_taken() -> None:
    table = {
        **STEERING,
        "quantity": "steering_angle",
        "lateral_accel_mps2": 2.0,
        "lateral_jerk_mps3": 1,
        "change_per_window": 0.05,
        "maximum_by_speed": [[0, 0.5], [20.0, 0.1]],
        "on_violation": "drop",
        "safe_value": 0.1,
    }
    (steering,) = read_envelope({"front_angle": table}, period_s=0.02, max_age_periods=2).signals
    assert (steering.lateral_accel_mps2, steering.lateral_jerk_mps3) == (2.0, 1.0)
    assert steering.maximum_by_speed == ((0.0, 0.5), (20.0, 0.1))
    assert (steering.on_violation, steering.safe_value, steering.change_per_window) == ("drop", 0.1, 0.05)


def test_a_safe_value_that_is_not_said_is_the_allowed_one_nearest_to_zero() -> None:
    table = {"quantity": "other", "minimum": 5.0, "maximum": 9.0, "rate_per_s": 1.0}
    (signal,) = read_envelope({"pump": table}, period_s=0.01).signals
    assert signal.safe_value == 5.0


def test_a_null_is_as_good_as_nothing() -> None:
    (accel,) = read_envelope({"accel_mps2": {**ACCEL, "safe_value": None}}, period_s=0.01).signals
    assert accel.safe_value == 0.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"maximum": 2.0001}, "envelope.accel_mps2.maximum: is 2.0001, expected at least -inf and at most 2"),
        ({"minimum": -3.6}, "envelope.accel_mps2.minimum: is -3.6, expected at least -3.5"),
        ({"minimum": 1.5}, "envelope.accel_mps2.maximum: 1.5 is not above the minimum 1.5"),
        ({"minimum": math.nan}, "envelope.accel_mps2.minimum: expected a finite number, got nan"),
        ({"maximum": math.inf}, "envelope.accel_mps2.maximum: expected a finite number, got inf"),
        ({"maximum": "2"}, "envelope.accel_mps2.maximum: expected a finite number, got '2'"),
        ({"maximum": True}, "envelope.accel_mps2.maximum: expected a finite number, got True"),
        ({"maximum": None}, "envelope.accel_mps2.maximum: missing"),
        ({"rate_per_s": 0.0}, "envelope.accel_mps2.rate_per_s: is 0, expected more than 0"),
        ({"rate_per_s": 10**400}, "envelope.accel_mps2.rate_per_s: expected a finite number"),
        ({"change_per_window": -1}, "envelope.accel_mps2.change_per_window: is -1, expected more than 0"),
        ({"safe_value": 1.6}, "envelope.accel_mps2.safe_value: is 1.6, expected at least -3 and at most 1.5"),
        ({"on_violation": "ignore"}, "envelope.accel_mps2.on_violation: expected one of clamp, drop, got 'ignore'"),
        ({"quantity": "speed"}, "envelope.accel_mps2.quantity: expected one of steering_angle, acceleration, other"),
        ({"wheelbase_m": 2.7}, "envelope.accel_mps2.wheelbase_m: only a steering angle has this limit"),
        ({"lateral_jerk_mps3": 1.0}, "envelope.accel_mps2.lateral_jerk_mps3: only a steering angle has this limit"),
        ({"maximun": 1.0}, "envelope.accel_mps2.maximun: unknown key, known are change_per_window"),
        ({"maximum_by_speed": 3}, "envelope.accel_mps2.maximum_by_speed: expected rows of"),
        ({"maximum_by_speed": [3]}, "envelope.accel_mps2.maximum_by_speed: expected .speed in m/s, largest magnitude"),
        ({"maximum_by_speed": [[0, 1, 2]]}, "largest magnitude., got .0, 1, 2."),
        ({"maximum_by_speed": [[0, -1]]}, "largest magnitude., got .0, -1."),
        ({"maximum_by_speed": [[0, math.nan]]}, "largest magnitude., got .0, nan."),
        ({"maximum_by_speed": [[5, 1], [5, 2]]}, "envelope.accel_mps2.maximum_by_speed: the speeds must ascend"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_key(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read_envelope({"accel_mps2": {**ACCEL, **changes}}, period_s=0.01)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"wheelbase_m": None}, "envelope.steering_rad.wheelbase_m: missing"),
        ({"wheelbase_m": 0}, "envelope.steering_rad.wheelbase_m: is 0, expected more than 0"),
        ({"lateral_accel_mps2": 3.1}, "lateral_accel_mps2: is 3.1, expected more than 0 and at most 3"),
        ({"lateral_jerk_mps3": 5.1}, "lateral_jerk_mps3: is 5.1, expected more than 0 and at most 5"),
        ({"maximum": 1.3}, "envelope.steering_rad.maximum: is 1.3"),
        ({"minimum": -1.3}, "envelope.steering_rad.minimum: is -1.3"),
    ],
)
def test_a_steering_angle_wider_than_the_standards_is_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read_envelope({"steering_rad": {**STEERING, **changes}}, period_s=0.01)


def test_a_name_that_does_not_tell_its_quantity_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"envelope\.throttle\.quantity: expected one of .* got None"):
        read_envelope({"throttle": ACCEL}, period_s=0.01)


@pytest.mark.parametrize("period_s", [0.0, -0.01, 0.3, math.nan])
def test_a_control_period_outside_the_window_is_refused(period_s: float) -> None:
    with pytest.raises(ConfigError, match="the control period is"):
        read_envelope({"accel_mps2": ACCEL}, period_s=period_s)


@pytest.mark.parametrize("periods", [0, -1, 3.5, math.nan])
def test_the_age_limit_may_only_be_tightened(periods: float) -> None:
    with pytest.raises(ConfigError, match="max_age_periods is"):
        read_envelope({"accel_mps2": ACCEL}, period_s=0.01, max_age_periods=periods)


def test_an_envelope_without_signals_is_refused() -> None:
    with pytest.raises(ConfigError, match="the envelope has no signals"):
        read_envelope({}, period_s=0.01)


def test_the_manifest_and_the_bridge_compute_the_same_hash() -> None:
    table = {"steering_rad": {**STEERING, "maximum_by_speed": [[0, 1], [2.5, 3]]}, "accel_mps2": ACCEL}
    assert read_envelope(table, period_s=0.01).hash == envelope_hash(table) == manifest_hash(table)
