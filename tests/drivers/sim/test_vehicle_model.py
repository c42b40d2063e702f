from __future__ import annotations

import builtins
import itertools
import math
from typing import Any

import pytest

from cardan.drivers.sim.vehicle_model import ActuatorConfig, VehicleModel, VehicleMotion
from cardan.runtime.errors import DeviceError

MODEL = VehicleModel(ActuatorConfig())


def drive(motion: VehicleMotion, seconds: float, steering_rad: float = 0.0, accel_mps2: float = 0.0) -> VehicleMotion:
    for _ in range(round(seconds * 100)):
        motion = MODEL.step(motion, 0.01, steering_rad, accel_mps2)
    return motion


def test_straight_ahead_it_covers_speed_times_time() -> None:
    moved = drive(VehicleMotion(speed_mps=20.0), 2.0)
    assert (moved.x_m, moved.y_m, moved.heading_rad) == pytest.approx((40.0, 0.0, 0.0))


@pytest.mark.parametrize("speed_mps", [1.0, 5.0, 15.0, 25.0])
def test_a_gentle_curve_has_the_radius_of_geometry(speed_mps: float) -> None:
    """Front and rear tyres are alike in this parameter set, so the vehicle steers neutrally at any speed."""
    turning = drive(VehicleMotion(speed_mps=speed_mps), 4.0, steering_rad=0.01)
    assert turning.yaw_rate_radps == pytest.approx(turning.speed_mps * math.tan(0.01) / MODEL.wheelbase_m, rel=0.02)


def test_the_yaw_rate_does_not_jump_where_the_equations_change() -> None:
    motion = drive(VehicleMotion(speed_mps=1.0), 0.5, steering_rad=0.2)
    rates = []
    for _ in range(300):
        motion = MODEL.step(motion, 0.01, 0.2, 1.0)
        rates.append(motion.yaw_rate_radps)
    assert motion.speed_mps > 3.0
    assert max(abs(b - a) for a, b in itertools.pairwise(rates)) < 0.02


def test_left_is_positive() -> None:
    turned = drive(VehicleMotion(speed_mps=10.0), 1.0, steering_rad=0.05)
    assert turned.y_m > 0.0
    assert turned.heading_rad > 0.0
    assert turned.yaw_rate_radps > 0.0


def test_it_brakes_to_a_standstill_and_never_reverses() -> None:
    motion = VehicleMotion(speed_mps=3.0)
    last_x = 0.0
    for _ in range(300):
        motion = MODEL.step(motion, 0.01, 0.1, -4.0)
        assert motion.speed_mps >= 0.0
        assert motion.x_m >= last_x - 1e-9
        last_x = motion.x_m
    assert (motion.speed_mps, motion.yaw_rate_radps) == (0.0, 0.0)
    assert drive(motion, 1.0, accel_mps2=-4.0).x_m == motion.x_m


def test_it_drives_off_again_from_a_standstill() -> None:
    stopped = drive(VehicleMotion(speed_mps=1.0), 2.0, accel_mps2=-3.0)
    moving = drive(stopped, 4.0, accel_mps2=1.5)
    assert 4.0 < moving.speed_mps < 6.0


def test_the_steering_turns_no_faster_than_its_limit() -> None:
    motion = MODEL.step(VehicleMotion(speed_mps=5.0), 0.01, 0.5, 0.0)
    assert motion.steering_rad == pytest.approx(0.4 * 0.01)


def test_the_steering_stops_at_its_largest_angle() -> None:
    assert drive(VehicleMotion(speed_mps=1.0), 4.0, steering_rad=2.0).steering_rad == pytest.approx(0.6, abs=1e-3)


def test_the_acceleration_follows_with_its_lag() -> None:
    motion = drive(VehicleMotion(speed_mps=10.0), 0.25, accel_mps2=1.0)
    assert motion.accel_mps2 == pytest.approx(1.0 - math.exp(-1.0), abs=1e-3)


def test_a_long_step_equals_many_short_ones() -> None:
    long = MODEL.step(VehicleMotion(speed_mps=20.0), 0.1, 0.02, 1.0)
    short = drive(VehicleMotion(speed_mps=20.0), 0.1, 0.02, 1.0)
    assert (long.x_m, long.y_m) == pytest.approx((short.x_m, short.y_m), abs=1e-3)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("vehiclemodels"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DeviceError, match=r"commonroad-vehicle-models") as error:
        VehicleModel(ActuatorConfig())
    assert "cardan[sim]" in str(error.value)
