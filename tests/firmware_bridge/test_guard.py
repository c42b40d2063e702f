"""The guard on a fake clock: closed by default, armed by the driver alone, safe within periods of any fault."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from cardan.firmware_bridge.codec import CodecError
from cardan.firmware_bridge.engage import State
from cardan.firmware_bridge.gate import Gate, GateFault, OutFrame
from cardan.firmware_bridge.guard import Command, Decision, Guard, GuardSettings, Vehicle
from cardan.firmware_bridge.testing import LIMITS, GuardBench
from cardan.runtime.errors import NodeError


@pytest.fixture
def bench() -> GuardBench:
    return GuardBench()


@pytest.fixture
def engaged(bench: GuardBench) -> GuardBench:
    bench.engage()
    return bench


def decoded(bench: GuardBench, decision: Decision) -> dict[str, dict[str, float]]:
    """What the frames of one period say, by message."""
    names = {bench.dbc.message(name).frame_id: name for name in bench.dbc.names}
    return {names[frame.id]: bench.dbc.message(names[frame.id]).decode(frame.data) for frame in decision.frames}


def enabled(bench: GuardBench, decision: Decision) -> tuple[float, float]:
    said = decoded(bench, decision)
    return said["STEERING_COMMAND"]["ENABLE"], said["ACCEL_COMMAND"]["ENABLE"]


def pressed(switch: str) -> dict[str, Any]:
    return {switch: True}


# --------------------------------------------------------------------------------------------------- closed by default


def test_nothing_is_sent_until_the_driver_engages(bench: GuardBench) -> None:
    assert all(decision.frames == [] for decision in bench.run(5.0, steering_rad=0.0))
    assert (bench.state, bench.cause) == (State.DISABLED, "start")


def test_the_drivers_engage_signal_arms_when_every_check_passes(bench: GuardBench) -> None:
    bench.step(engage=False)
    assert bench.step(engage=True).frames == []
    assert bench.state is State.PRE_ENABLED
    decision = bench.step(engage=True)
    assert (bench.state, bench.cause) == (State.ENABLED, "armed")
    assert enabled(bench, decision) == (1, 1)
    assert all(check.passed for check in bench.guard.checks)


def test_an_engage_signal_that_is_on_from_the_start_does_not_arm(bench: GuardBench) -> None:
    bench.run(1.0, engage=True)
    assert bench.state is State.DISABLED


def test_while_disabled_the_answer_is_where_the_actuators_are(bench: GuardBench) -> None:
    decision = bench.step(steering_rad=0.2, measured={"steering_rad": 0.0123, "accel_mps2": -0.5})
    assert decision.values == {"steering_rad": pytest.approx(0.0123, abs=2e-6), "accel_mps2": -0.5}
    assert not decision.accepted


def test_control_starts_from_where_the_actuators_are(bench: GuardBench) -> None:
    bench.step(measured={"steering_rad": 0.012, "accel_mps2": 0.7}, engage=False)
    bench.step(engage=True)
    decision = bench.step(steering_rad=0.012, accel_mps2=0.7)
    assert (bench.state, decision.accepted, decision.reason) == (State.ENABLED, True, "ok")


def test_an_unknown_measurement_leaves_the_safe_value(bench: GuardBench) -> None:
    decision = bench.step(measured={"steering_rad": math.nan})
    assert decision.values == {"steering_rad": 0.0, "accel_mps2": 0.0}


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        ({"silent": True}, "not-armed:command (no-command)"),
        ({"envelope_hash": "0" * 16}, "not-armed:command (limits-hash)"),
        ({"valid": False}, "not-armed:command (invalid)"),
        ({"accel_mps2": math.nan}, "not-armed:command (not-a-number:accel_mps2)"),
        ({"speed_mps": math.nan}, "not-armed:command (speed-unknown)"),
        ({"gas": True}, "not-armed:driver (driver-gas)"),
        ({"steering": True}, "not-armed:driver (driver-steering)"),
        ({"not_ready": frozenset({"steering_rad", "accel_mps2"})}, "not-armed:actuators (accel_mps2, steering_rad)"),
        (
            {"measured": {"steering_rad": 0.1, "accel_mps2": 0.0}},
            "not-armed:steering_rad (measured 0.1000 at 20.0 m/s)",
        ),
        (
            {"measured": {"steering_rad": math.nan, "accel_mps2": 0.0}},
            "not-armed:steering_rad (measured nan at 20.0 m/s)",
        ),
    ],
)
def test_each_failed_check_keeps_the_bridge_closed_and_is_named(
    bench: GuardBench, step: dict[str, Any], cause: str
) -> None:
    bench.step(engage=False, **step)
    assert bench.step(engage=True, **step).frames == []
    decisions = bench.run(0.6, engage=False, **step)
    assert all(decision.frames == [] for decision in decisions)
    assert (bench.state, bench.cause) == (State.DISABLED, cause)


def test_all_checks_are_run_and_each_failure_says_what_to_do(bench: GuardBench) -> None:
    bench.step(engage=False)
    bench.step(engage=True)
    bench.step(engage=True, silent=True, gas=True, problems=("silent:MOTION", "counter:DRIVER_INPUTS"))
    failed = {check.name: check for check in bench.guard.checks if not check.passed}
    assert set(failed) == {"bus", "driver"}
    assert failed["bus"].text == "silent:MOTION, counter:DRIVER_INPUTS"
    assert all(check.hint for check in bench.guard.checks)


def test_the_checks_may_take_exactly_as_long_as_is_said() -> None:
    for periods, settings in ((50, GuardSettings()), (200, GuardSettings(pre_enable_s=2.0))):
        bench = GuardBench(settings=settings)
        bench.step(engage=False, valid=False)
        bench.step(engage=True, valid=False)
        for _ in range(periods - 1):
            bench.step(valid=False)
            assert bench.state is State.PRE_ENABLED
        bench.step(valid=False)
        assert bench.state is State.DISABLED


def test_a_check_that_passes_a_moment_later_still_arms(bench: GuardBench) -> None:
    bench.step(engage=False)
    bench.step(engage=True)
    bench.run(0.3, valid=False)
    assert (bench.state, bench.cause) == (State.PRE_ENABLED, "driver-engage")
    bench.step()
    assert (bench.state, bench.cause) == (State.ENABLED, "armed")


def test_the_brake_ends_the_attempt_at_once(bench: GuardBench) -> None:
    bench.step(engage=False)
    bench.step(engage=True)
    bench.step(engage=True, brake=True)
    assert (bench.state, bench.cause) == (State.DISABLED, "driver-brake")


def test_an_engage_signal_on_a_bus_that_cannot_be_believed_is_none(bench: GuardBench) -> None:
    bench.step(engage=False)
    bench.step(engage=True, problems=("checksum:DRIVER_INPUTS",))
    assert bench.state is State.DISABLED


def test_a_bridge_that_only_listens_never_arms() -> None:
    for settings, gate in ((GuardSettings(listen_only=True), True), (GuardSettings(), False)):
        bench = GuardBench(settings=settings)
        if not gate:
            bench.guard = Guard(bench.envelope, None, settings, bench.clock.now_ns())
        with pytest.raises(NodeError, match="not enabled but pre-enabled"):
            bench.engage()
        assert all(decision.frames == [] for decision in bench.run(1.0))
        assert (bench.state, bench.cause) == (State.DISABLED, "not-armed:listen-only (by configuration)")


def test_a_bridge_that_only_listens_judges_from_where_the_actuators_are() -> None:
    bench = GuardBench()
    bench.guard = Guard(bench.envelope, None, GuardSettings(listen_only=True), bench.clock.now_ns())
    decision = bench.step(steering_rad=0.0101, measured={"steering_rad": 0.01, "accel_mps2": 0.0})
    assert (decision.reason, decision.values["steering_rad"]) == ("disabled", 0.01)
    decision = bench.step(measured={"steering_rad": 0.7, "accel_mps2": -9.0})
    assert decision.values == {"steering_rad": 0.5, "accel_mps2": -3.5}
    assert not bench.guard.owns(288, False)


def test_what_is_not_said_is_as_documented_and_no_switch_is_on() -> None:
    said = GuardSettings(pre_enable_s=0.5, soft_disable_s=1.0, soft_accel_mps2=-1.0, recover_periods=5)
    assert GuardSettings(listen_only=False, release_periods=10, send_failures=5, safe_stop=said.safe_stop) == said
    vehicle = Vehicle(problems=(), speed_mps=0.0, measured={})
    assert (vehicle.brake, vehicle.cancel, vehicle.gas, vehicle.steering, vehicle.engage) == (False,) * 5
    assert vehicle.not_ready == frozenset()


def test_the_brake_is_named_among_the_arming_checks(bench: GuardBench) -> None:
    bench.step(engage=False)
    bench.step(engage=True)
    bench.step(brake=True)
    assert [(check.passed, check.text) for check in bench.guard.checks if check.name == "driver"] == [
        (False, "driver-brake")
    ]


def test_a_person_at_the_command_line_can_engage_as_the_driver_can(bench: GuardBench) -> None:
    bench.step()
    bench.guard.engage("ada")
    assert bench.step().frames == []
    assert (bench.state, bench.cause) == (State.PRE_ENABLED, "engaged-by:ada")
    assert enabled(bench, bench.step()) == (1, 1)
    assert (bench.state, bench.cause) == (State.ENABLED, "armed")


def test_a_person_who_asks_while_the_bridge_is_not_disabled_changes_nothing_then_or_later(engaged: GuardBench) -> None:
    engaged.guard.engage("ada")
    engaged.step()
    engaged.step(brake=True)
    engaged.run(0.1, brake=False)
    assert (engaged.state, engaged.cause) == (State.DISABLED, "driver-brake")


def test_the_drivers_own_signal_is_the_cause_when_both_ask(bench: GuardBench) -> None:
    bench.step(engage=False)
    bench.guard.engage("ada")
    bench.step(engage=True)
    assert bench.cause == "driver-engage"


def test_a_person_can_end_the_engagement_in_one_period_and_the_brake_is_named_first(engaged: GuardBench) -> None:
    engaged.guard.disengage("ada")
    assert enabled(engaged, engaged.step()) == (0, 0)
    assert (engaged.state, engaged.cause) == (State.DISABLED, "disengaged-by:ada")
    engaged.run(0.1)
    engaged.engage()
    engaged.guard.disengage("ada")
    engaged.step(brake=True)
    assert engaged.cause == "driver-brake"


def test_what_the_profile_demands_and_is_not_so_keeps_the_bridge_closed(bench: GuardBench) -> None:
    bench.guard.demand("SCHED_FIFO, has SCHED_OTHER")
    with pytest.raises(NodeError, match="not enabled but pre-enabled"):
        bench.engage()
    bench.run(0.6)
    assert bench.cause == "not-armed:scheduler (SCHED_FIFO, has SCHED_OTHER)"
    bench.guard.demand("")
    bench.engage()


def test_the_arming_report_is_there_in_every_state_and_names_every_check(bench: GuardBench) -> None:
    assert bench.guard.arming_report() == []
    bench.step(brake=True)
    report = {check.name: check for check in bench.guard.arming_report()}
    assert list(report) == [
        "fault",
        "listen-only",
        "scheduler",
        "command",
        "bus",
        "actuators",
        "driver",
        "supervisor",
        "steering_rad",
    ]
    assert [name for name, check in report.items() if not check.passed] == ["driver"]
    bench.guard.foreign_frame(0x120)
    bench.step(brake=False)
    assert [(check.name, check.text) for check in bench.guard.arming_report() if not check.passed] == [
        ("fault", "second-sender:0x120")
    ]


# -------------------------------------------------------------------------------------------------------- the envelope


def test_an_allowed_command_reaches_the_bus_in_the_same_period(engaged: GuardBench) -> None:
    decision = engaged.step(steering_rad=0.0002, accel_mps2=0.05)
    said = decoded(engaged, decision)
    assert (decision.accepted, decision.reason) == (True, "ok")
    assert said["STEERING_COMMAND"]["ROAD_WHEEL_ANGLE"] == pytest.approx(0.0002, abs=1e-9)
    assert said["ACCEL_COMMAND"]["ACCELERATION"] == pytest.approx(0.05, abs=1e-9)


def test_a_command_outside_is_clamped_and_the_controller_is_told_in_the_same_period(engaged: GuardBench) -> None:
    decision = engaged.step(steering_rad=0.005, accel_mps2=0.05)
    said = decoded(engaged, decision)
    assert (decision.accepted, decision.reason) == (False, "lateral-jerk:steering_rad")
    assert decision.values["steering_rad"] == said["STEERING_COMMAND"]["ROAD_WHEEL_ANGLE"] < 0.00033


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "1", True])
def test_no_number_never_leaves_and_the_last_value_is_held(engaged: GuardBench, value: object) -> None:
    engaged.step(steering_rad=0.0002, accel_mps2=0.1)
    decision = engaged.step(steering_rad=value, accel_mps2=0.2)
    assert decision.reason == "not-a-number:steering_rad"
    assert decision.values == {"steering_rad": pytest.approx(0.0002), "accel_mps2": pytest.approx(0.1)}
    assert engaged.state is State.ENABLED


def test_a_dropped_command_holds_and_lasting_violation_ends_the_engagement() -> None:
    limits = {**LIMITS, "accel_mps2": {**LIMITS["accel_mps2"], "on_violation": "drop"}}
    bench = GuardBench(limits=limits)
    bench.engage()
    for _ in range(2):
        decision = bench.step(accel_mps2=2.0)
        assert (decision.reason, decision.values["accel_mps2"]) == ("rate:accel_mps2", 0.0)
    bench.step(accel_mps2=2.0)
    assert (bench.state, bench.cause) == (State.SOFT_DISABLING, "command:rate:accel_mps2")


def test_a_controller_that_goes_on_from_the_answer_is_accepted_in_the_next_period(engaged: GuardBench) -> None:
    decision = engaged.step(steering_rad=0.1)
    after = engaged.step(steering_rad=decision.values["steering_rad"])
    assert after.accepted


def test_the_status_carries_the_first_32_bits_of_the_limits_hash(engaged: GuardBench) -> None:
    status = decoded(engaged, engaged.step())["BRIDGE_STATUS"]
    assert status["LIMITS_HASH"] == int(engaged.envelope.hash[:8], 16)


def test_a_speed_that_is_no_number_for_a_moment_leaves_the_last_one(engaged: GuardBench) -> None:
    assert engaged.step(speed_mps=math.nan).accepted


# ------------------------------------------------------------------------------------------------------ loss of control


def test_a_command_of_exactly_three_periods_is_fresh_and_a_nanosecond_later_it_is_lost(engaged: GuardBench) -> None:
    engaged.clock.advance_s(0.01)
    now_ns = engaged.clock.now_ns()
    values = {"steering_rad": 0.0, "accel_mps2": 0.0}
    command = Command(99, values, engaged.envelope.hash, now_ns - 30_000_000, True)
    assert engaged.guard.step(now_ns, command, engaged.vehicle).reason == "ok"
    assert engaged.state is State.ENABLED
    engaged.guard.step(now_ns + 1, command, engaged.vehicle)
    assert (engaged.state, engaged.cause) == (State.SOFT_DISABLING, "command:stale")


def test_a_command_whose_number_does_not_grow_is_not_used(engaged: GuardBench) -> None:
    engaged.repeat_cycle()
    decision = engaged.step(steering_rad=0.001)
    assert (decision.reason, decision.values["steering_rad"], engaged.state) == ("counter", 0.0, State.ENABLED)
    assert engaged.step(silent=True).reason == "counter"
    assert engaged.step(steering_rad=0.0002).accepted


def test_a_controller_that_is_stuck_on_one_number_is_lost_within_four_periods(engaged: GuardBench) -> None:
    for _ in range(4):
        engaged.repeat_cycle()
        engaged.step(steering_rad=0.001)
    assert (engaged.state, engaged.cause) == (State.SOFT_DISABLING, "command:counter")


def test_a_controller_that_starts_again_is_followed_from_its_second_command_on(engaged: GuardBench) -> None:
    engaged.run(1.0)
    engaged._cycle = 0
    assert engaged.step().reason == "counter"
    assert engaged.step().accepted


def test_a_command_that_is_read_twice_is_judged_twice_alike(engaged: GuardBench) -> None:
    assert engaged.step(steering_rad=0.0002).accepted
    assert engaged.step(silent=True).accepted


def test_control_that_dies_is_noticed_within_four_periods(engaged: GuardBench) -> None:
    engaged.step(accel_mps2=0.1)
    for _ in range(2):
        assert engaged.step(silent=True).frames
        assert engaged.state is State.ENABLED
    engaged.step(silent=True)
    assert (engaged.state, engaged.cause) == (State.SOFT_DISABLING, "command:stale")


def test_soft_disabling_holds_the_steering_and_ramps_to_a_gentle_deceleration(engaged: GuardBench) -> None:
    for _ in range(20):
        engaged.step(steering_rad=0.005, accel_mps2=1.0)
    steering = engaged.step(steering_rad=0.005, accel_mps2=1.0).values["steering_rad"]
    decisions = engaged.run(0.9, silent=True)
    assert engaged.state is State.SOFT_DISABLING
    accels = [decision.values["accel_mps2"] for decision in decisions]
    assert {decision.values["steering_rad"] for decision in decisions} == {steering}
    assert all(0 <= early - late <= 0.1 + 1e-9 for early, late in pairwise(accels))
    assert accels[-1] == -1.0
    assert enabled(engaged, decisions[-1]) == (1, 1)


def test_the_guards_own_deceleration_ramps_also_where_commands_are_dropped() -> None:
    bench = GuardBench(limits={**LIMITS, "accel_mps2": {**LIMITS["accel_mps2"], "on_violation": "drop"}})
    bench.engage()
    assert bench.run(0.5, silent=True)[-1].values["accel_mps2"] == -1.0


def test_soft_disabling_lasts_exactly_as_long_as_is_said(engaged: GuardBench) -> None:
    engaged.step(silent=True, problems=("silent:MOTION",))
    for _ in range(99):
        engaged.step(silent=True)
        assert engaged.state is State.SOFT_DISABLING
    engaged.step(silent=True)
    assert engaged.state is State.SAFE_STOP


def test_five_good_periods_at_once_are_a_return(engaged: GuardBench) -> None:
    engaged.step(problems=("silent:MOTION",))
    for _ in range(4):
        engaged.step(problems=())
        assert engaged.state is State.SOFT_DISABLING
    engaged.step()
    assert engaged.state is State.ENABLED


def test_control_that_returns_in_time_gets_the_vehicle_back(engaged: GuardBench) -> None:
    engaged.run(0.5, silent=True)
    assert engaged.state is State.SOFT_DISABLING
    engaged.run(0.04)
    assert engaged.state is State.SOFT_DISABLING
    engaged.step()
    assert (engaged.state, engaged.cause) == (State.ENABLED, "recovered")


def test_a_command_now_and_then_is_no_return(engaged: GuardBench) -> None:
    for _ in range(30):
        engaged.run(0.03, silent=True)
        engaged.step()
    engaged.run(0.2, silent=True)
    assert engaged.state is State.SAFE_STOP


def test_control_that_stays_away_leads_to_a_safe_stop_and_then_to_the_driver(engaged: GuardBench) -> None:
    engaged.run(1.04, silent=True)
    assert (engaged.state, engaged.cause) == (State.SAFE_STOP, "not-recovered:command:stale")
    decisions = engaged.run(4.0, silent=True)
    accels = [decision.values["accel_mps2"] for decision in decisions]
    assert accels[0] == -1.0
    assert accels[-1] == -2.5
    engaged.run(0.5, silent=True, speed_mps=0.05)
    assert engaged.state is State.SAFE_STOP
    engaged.run(1.0, silent=True, speed_mps=0.0)
    assert (engaged.state, engaged.cause) == (State.DISABLED, "standstill")


def test_a_safe_stop_keeps_the_lane_as_long_as_control_can_steer(engaged: GuardBench) -> None:
    engaged.run(1.2, problems=("silent:WHEEL_SPEEDS",))
    assert engaged.state is State.SAFE_STOP
    decision = engaged.run(0.1, steering_rad=0.001, accel_mps2=1.0)[-1]
    assert decision.values["steering_rad"] == pytest.approx(0.001)
    assert decision.values["accel_mps2"] == -1.0
    assert not decision.accepted


def stopping(bench: GuardBench, **vehicle: object) -> Decision:
    """Into the safe stop by a supervisor who asks for it; the decision 1.5 s later."""
    bench.guard.stop_asked("camera is lost")
    return bench.run(1.5, **vehicle)[-1]


def test_a_safe_stop_without_steering_releases_it_and_stops_firmly_at_once(engaged: GuardBench) -> None:
    decision = stopping(engaged, not_ready=frozenset({"steering_rad"}))
    assert enabled(engaged, decision) == (0, 1)
    assert decision.values["accel_mps2"] == pytest.approx(-2.5, abs=0.01)


def test_a_safe_stop_without_brakes_keeps_the_lane_and_then_lets_go(engaged: GuardBench) -> None:
    decision = stopping(engaged, steering_rad=0.0005, not_ready=frozenset({"accel_mps2"}))
    assert enabled(engaged, decision) == (1, 0)
    assert decision.values["steering_rad"] == pytest.approx(0.0005, abs=1e-5)
    engaged.run(8.6)
    assert (engaged.state, engaged.cause) == (State.DISABLED, "keep-lane-over")


def test_a_safe_stop_in_which_nothing_answers_lets_go_at_once(engaged: GuardBench) -> None:
    engaged.guard.stop_asked("camera is lost")
    assert enabled(engaged, engaged.step(not_ready=frozenset({"steering_rad", "accel_mps2"}))) == (0, 0)
    assert engaged.state is State.SAFE_STOP
    engaged.step()
    assert (engaged.state, engaged.cause) == (State.DISABLED, "release-over")


def test_an_actuator_that_falls_away_during_a_safe_stop_changes_the_sequence_and_never_comes_back(
    engaged: GuardBench,
) -> None:
    assert enabled(engaged, stopping(engaged)) == (1, 1)
    assert enabled(engaged, engaged.step(not_ready=frozenset({"steering_rad"}))) == (0, 1)
    decision = engaged.run(1.0, not_ready=frozenset())[-1]
    assert enabled(engaged, decision) == (0, 1)
    assert decision.values["accel_mps2"] == pytest.approx(-2.5, abs=0.01)


def test_an_actuator_that_was_released_in_a_safe_stop_does_not_jump_back(engaged: GuardBench) -> None:
    assert enabled(engaged, stopping(engaged, not_ready=frozenset({"steering_rad"}))) == (0, 1)
    away = {"steering_rad": 0.002, "accel_mps2": -2.5}
    assert enabled(engaged, engaged.step(not_ready=frozenset({"accel_mps2"}), measured=away)) == (0, 0)


def test_an_actuator_that_takes_no_commands_disables_softly_and_may_return(engaged: GuardBench) -> None:
    engaged.step(not_ready=frozenset({"steering_rad"}))
    assert (engaged.state, engaged.cause) == (State.SOFT_DISABLING, "not-ready:steering_rad")
    engaged.run(0.04, not_ready=frozenset())
    assert engaged.state is State.SOFT_DISABLING
    engaged.step()
    assert (engaged.state, engaged.cause) == (State.ENABLED, "recovered")


def test_an_actuator_that_stays_away_does_not_return_and_of_two_the_first_by_name_is_the_cause(
    engaged: GuardBench,
) -> None:
    changes = engaged.guard.engagement.changes
    engaged.run(0.5, not_ready=frozenset({"steering_rad", "accel_mps2"}))
    assert engaged.guard.engagement.changes == changes + 1
    assert (engaged.state, engaged.cause) == (State.SOFT_DISABLING, "not-ready:accel_mps2")


def test_a_message_that_cannot_be_believed_comes_before_an_actuator_that_takes_no_commands(engaged: GuardBench) -> None:
    engaged.step(not_ready=frozenset({"steering_rad"}), problems=("silent:STEERING_ANGLE",))
    assert engaged.cause == "bus:silent:STEERING_ANGLE"


def test_control_that_brakes_harder_than_the_safe_stop_is_followed(engaged: GuardBench) -> None:
    engaged.run(1.2, problems=("silent:WHEEL_SPEEDS",))
    assert engaged.run(0.5, accel_mps2=-3.0)[-1].values["accel_mps2"] == -3.0


def test_the_safe_stop_never_returns_to_control_by_itself(engaged: GuardBench) -> None:
    engaged.run(1.2, silent=True)
    engaged.run(5.0)
    assert engaged.state is State.SAFE_STOP


def test_a_safe_stop_without_a_speed_to_believe_ends_after_the_longest_time(engaged: GuardBench) -> None:
    engaged.run(1.1, problems=("silent:MOTION",))
    assert engaged.state is State.SAFE_STOP
    engaged.run(1.5 * (20.0 + 1.0) - 0.2)
    assert engaged.state is State.SAFE_STOP
    engaged.run(0.3)
    assert (engaged.state, engaged.cause) == (State.DISABLED, "stop-in-lane-over")


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        ({"valid": False}, "command:invalid"),
        ({"envelope_hash": "f" * 16}, "command:limits-hash"),
        ({"accel_mps2": math.nan}, "command:not-a-number:accel_mps2"),
    ],
)
def test_commands_that_cannot_be_used_age_like_no_commands(
    engaged: GuardBench, step: dict[str, Any], cause: str
) -> None:
    engaged.run(0.02, **step)
    assert engaged.state is State.ENABLED
    engaged.step(**step)
    assert (engaged.state, engaged.cause) == (State.SOFT_DISABLING, cause)


def test_a_message_that_cannot_be_believed_disables_softly_in_the_same_period(engaged: GuardBench) -> None:
    engaged.step(problems=("checksum:MOTION",), speed_mps=3.0)
    assert (engaged.state, engaged.cause) == (State.SOFT_DISABLING, "bus:checksum:MOTION")


def test_of_several_messages_that_cannot_be_believed_the_first_is_the_cause(engaged: GuardBench) -> None:
    engaged.step(problems=("silent:MOTION", "checksum:DRIVER_INPUTS"))
    assert engaged.cause == "bus:silent:MOTION"


def test_the_speed_of_a_message_that_cannot_be_believed_is_not_used(engaged: GuardBench) -> None:
    slow = engaged.step(steering_rad=0.01, problems=("checksum:MOTION",), speed_mps=1.0)
    assert slow.values["steering_rad"] < 0.00033  # as at 20 m/s


# ---------------------------------------------------------------------------------------------------------- the driver


@pytest.mark.parametrize(("switch", "cause"), [("brake", "driver-brake"), ("cancel", "driver-cancel")])
@pytest.mark.parametrize("seconds_lost", [0.0, 0.5, 1.5])
def test_the_driver_wins_within_one_period_in_every_active_state(
    engaged: GuardBench, switch: str, cause: str, seconds_lost: float
) -> None:
    engaged.run(seconds_lost, silent=True)
    decision = engaged.step(**pressed(switch))
    assert (engaged.state, engaged.cause) == (State.DISABLED, cause)
    assert enabled(engaged, decision) == (0, 0)


def test_after_the_end_the_actuators_are_told_ten_times_to_let_go_and_then_nothing(engaged: GuardBench) -> None:
    engaged.run(0.1, accel_mps2=0.5)
    decisions = [engaged.step(brake=True), *engaged.run(0.3)]
    assert [bool(decision.frames) for decision in decisions] == [True] * 10 + [False] * 21
    for decision in decisions[:10]:
        assert enabled(engaged, decision) == (0, 0)
        assert decoded(engaged, decision)["BRIDGE_STATUS"]["ARMED"] == 0


def test_the_accelerator_takes_the_acceleration_and_leaves_the_steering(engaged: GuardBench) -> None:
    decision = engaged.step(accel_mps2=1.5, gas=True, measured={"steering_rad": 0.0, "accel_mps2": 1.5})
    assert (engaged.state, engaged.cause) == (State.OVERRIDING, "driver-gas")
    assert enabled(engaged, decision) == (1, 0)
    assert decision.values["accel_mps2"] == 1.5
    assert (decision.accepted, decision.reason) == (False, "overriding")


def test_the_steering_wheel_takes_the_steering_and_leaves_the_acceleration(engaged: GuardBench) -> None:
    decision = engaged.step(steering=True, measured={"steering_rad": 0.004, "accel_mps2": 0.0})
    assert (engaged.state, engaged.cause) == (State.OVERRIDING, "driver-steering")
    assert enabled(engaged, decision) == (0, 1)
    assert decision.values["steering_rad"] == pytest.approx(0.004)
    decision = engaged.step(measured={"steering_rad": 0.00412345678, "accel_mps2": 0.0})
    assert (engaged.state, bool(decision.frames)) == (State.OVERRIDING, True)  # between two steps of the message
    assert decoded(engaged, decision)["STEERING_COMMAND"]["ROAD_WHEEL_ANGLE"] == decision.values["steering_rad"]


def test_both_at_once_take_both(engaged: GuardBench) -> None:
    assert enabled(engaged, engaged.step(steering=True, gas=True)) == (0, 0)


@pytest.mark.parametrize("switch", ["gas", "steering"])
def test_the_driver_keeps_what_the_driver_uses(engaged: GuardBench, switch: str) -> None:
    engaged.run(0.5, **pressed(switch))
    assert engaged.state is State.OVERRIDING
    assert engaged.guard.engagement.changes == 3  # engaged, armed, overriding; not back and forth


def test_what_the_driver_uses_is_released_also_when_the_bus_is_lost_in_the_same_period(engaged: GuardBench) -> None:
    decision = engaged.step(gas=True, problems=("silent:MOTION",))
    assert engaged.state is State.SOFT_DISABLING
    assert enabled(engaged, decision) == (1, 0)


def test_control_gets_back_what_the_driver_let_go_after_five_periods_and_from_where_it_is(engaged: GuardBench) -> None:
    engaged.run(0.5, gas=True)
    measured = {"steering_rad": 0.0, "accel_mps2": 1.2}
    for _ in range(4):
        assert enabled(engaged, engaged.step(gas=False, measured=measured, accel_mps2=1.2)) == (1, 0)
        assert engaged.state is State.OVERRIDING
    decision = engaged.step(accel_mps2=1.25)
    assert (engaged.state, engaged.cause) == (State.ENABLED, "recovered")
    assert enabled(engaged, decision) == (1, 1)
    assert decision.values["accel_mps2"] == pytest.approx(1.25)


@pytest.mark.parametrize("switch", ["gas", "steering"])
@pytest.mark.parametrize("seconds_lost", [0.5, 1.5])
def test_while_control_is_lost_any_touch_of_the_driver_takes_over(
    engaged: GuardBench, switch: str, seconds_lost: float
) -> None:
    engaged.run(seconds_lost, silent=True)
    engaged.step(silent=True, **pressed(switch))
    assert (engaged.state, engaged.cause) == (State.DISABLED, f"driver-{switch}")


def test_control_that_dies_while_the_driver_overrides_leaves_the_vehicle_to_the_driver(engaged: GuardBench) -> None:
    engaged.run(0.2, gas=True)
    engaged.run(0.05, silent=True)
    assert (engaged.state, engaged.cause) == (State.DISABLED, "driver-gas")


def test_after_a_safe_stop_that_the_driver_ended_control_is_followed_again(engaged: GuardBench) -> None:
    engaged.run(1.2, silent=True)
    engaged.step(brake=True, measured={"steering_rad": 0.0, "accel_mps2": 0.0})
    engaged.step(brake=False)
    engaged.engage()
    assert engaged.step(accel_mps2=0.05).accepted


def test_the_driver_can_engage_again_after_everything_but_a_fault(engaged: GuardBench) -> None:
    engaged.step(brake=True)
    engaged.step(brake=False)
    engaged.engage()
    assert engaged.state is State.ENABLED


# -------------------------------------------------------------------------------------------------------------- faults


def test_somebody_else_sending_our_message_is_a_fault_in_one_frame(engaged: GuardBench) -> None:
    assert engaged.guard.owns(0x120, False)
    assert not engaged.guard.owns(0x120, True)
    assert not engaged.guard.owns(0xB0, False)
    engaged.guard.foreign_frame(0x120)
    assert engaged.step().frames == []
    assert (engaged.state, engaged.cause) == (State.FAULT_LATCHED, "second-sender:0x120")
    assert all(decision.frames == [] for decision in engaged.run(1.0))


def test_a_listening_bridge_owns_nothing_and_minds_nobody() -> None:
    bench = GuardBench(settings=GuardSettings(listen_only=True))
    bench.guard.foreign_frame(0x120)
    bench.step()
    assert bench.state is State.DISABLED


def test_a_latched_fault_stays_until_a_person_resets_it(engaged: GuardBench) -> None:
    engaged.guard.foreign_frame(0x121)
    engaged.step()
    engaged.step(engage=False)
    engaged.step(engage=True)
    assert engaged.state is State.FAULT_LATCHED
    engaged.guard.reset("field-engineer")
    assert engaged.step().frames == []
    assert (engaged.state, engaged.cause) == (State.DISABLED, "reset-by:field-engineer")
    engaged.engage()


def test_a_reset_without_a_fault_changes_nothing(engaged: GuardBench) -> None:
    engaged.guard.reset("field-engineer")
    engaged.step()
    assert (engaged.state, engaged.cause) == (State.ENABLED, "armed")
    engaged.guard.foreign_frame(0x121)
    engaged.step()
    engaged.step()
    assert (engaged.state, engaged.cause) == (State.FAULT_LATCHED, "second-sender:0x121")


def test_a_bus_that_takes_no_frames_for_five_periods_is_a_fault(engaged: GuardBench) -> None:
    for _ in range(4):
        engaged.guard.send_result(False)
        engaged.step()
    engaged.guard.send_result(True)
    engaged.step()
    assert engaged.state is State.ENABLED
    for _ in range(5):
        engaged.guard.send_result(False)
    engaged.step()
    assert (engaged.state, engaged.cause) == (State.FAULT_LATCHED, "send-failed")


def test_a_bus_that_has_never_taken_a_frame_is_a_fault_as_well(bench: GuardBench) -> None:
    for _ in range(5):
        bench.guard.send_result(False)
    bench.step()
    assert (bench.state, bench.cause) == (State.FAULT_LATCHED, "send-failed")


def test_four_periods_that_could_not_be_sent_are_none_after_one_that_could(engaged: GuardBench) -> None:
    for sent in (True, False, False, False, False):
        engaged.guard.send_result(sent)
    engaged.step()
    assert engaged.state is State.ENABLED


def test_of_two_faults_the_first_is_the_cause(engaged: GuardBench) -> None:
    engaged.guard.foreign_frame(0x120)
    engaged.guard.foreign_frame(0x121)
    for _ in range(5):
        engaged.guard.send_result(False)
    engaged.step()
    assert engaged.cause == "second-sender:0x120"


class BrokenGate(Gate):
    """A gate with a defect of memory: after a while it fails its own last check."""

    error: Exception | None = None

    def frames(self, *arguments: Any, **options: Any) -> list[OutFrame]:
        if self.error is not None:
            raise self.error
        return super().frames(*arguments, **options)


@pytest.mark.parametrize(
    ("error", "cause"),
    [(GateFault("read-back:steering_rad", "it reads 9"), "read-back:steering_rad"), (CodecError("x"), "encode")],
)
def test_a_frame_that_fails_its_last_check_is_not_sent_and_latches(
    engaged: GuardBench, error: Exception, cause: str
) -> None:
    engaged.gate.__class__ = BrokenGate
    assert isinstance(engaged.gate, BrokenGate)
    engaged.gate.error = error
    assert engaged.step().frames == []
    assert (engaged.state, engaged.cause) == (State.FAULT_LATCHED, cause)
    engaged.gate.error = None
    assert engaged.step().frames == []


def test_a_fault_ends_the_frames_that_tell_the_actuators_to_let_go(engaged: GuardBench) -> None:
    engaged.step(brake=True)
    engaged.guard.foreign_frame(0x120)
    assert engaged.step().frames == []
    assert engaged.state is State.FAULT_LATCHED


def test_a_frame_that_fails_while_the_actuators_are_told_to_let_go_is_the_last(engaged: GuardBench) -> None:
    engaged.step(brake=True)
    engaged.gate.__class__ = BrokenGate
    assert isinstance(engaged.gate, BrokenGate)
    engaged.gate.error = CodecError("x")
    assert engaged.step().frames == []
    engaged.gate.error = None
    assert engaged.step().frames == []
    assert engaged.state is State.FAULT_LATCHED


def test_every_disengagement_has_exactly_one_cause(engaged: GuardBench) -> None:
    engaged.step(brake=True, cancel=True, steering=True, problems=("silent:MOTION",), silent=True)
    assert [item.cause for item in engaged.guard.engagement.history] == ["driver-engage", "armed", "driver-brake"]


def test_a_minute_with_a_late_command_now_and_then_changes_nothing(engaged: GuardBench) -> None:
    """Two of a hundred commands do not come, as on a busy computer."""
    for number in range(6000):
        engaged.step(accel_mps2=0.3 * math.sin(number / 200), silent=number % 100 < 2)
    assert engaged.state is State.ENABLED
    assert engaged.guard.engagement.changes == 2


def test_other_quantities_go_with_the_pedals_and_the_steering_wheel() -> None:
    """A signal that is neither steering nor acceleration belongs to the driver with the first touch."""
    limits = {**LIMITS, "accel_mps2": {**LIMITS["accel_mps2"], "quantity": "other"}}
    for switch, expected in (("gas", (1, 0)), ("steering", (0, 0))):
        bench = GuardBench(limits=limits)
        bench.engage()
        assert enabled(bench, bench.step(**pressed(switch))) == expected


def test_a_bench_says_why_it_could_not_engage() -> None:
    bench = GuardBench(vehicle=Vehicle(problems=("absent:MOTION",), speed_mps=math.nan, measured={}))
    with pytest.raises(NodeError, match="not enabled but disabled\n  hint: start"):
        bench.engage()
