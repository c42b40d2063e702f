"""The safe stop: phases by time, complete at standstill; a sequence for each set of actuators that answer."""

from __future__ import annotations

import pytest

from cardan.firmware_bridge.safe_stop import (
    SEQUENCES,
    Phase,
    SafeStop,
    StopSequence,
    check_sequences,
    with_release,
)

S = 1_000_000_000
LANE, SPEED = "steering_angle", "acceleration"
BOTH = (LANE, SPEED)


def begun(*answering: str, speed_mps: float = 20.0) -> SafeStop:
    return SafeStop(SEQUENCES, answering, 0, speed_mps)


def test_the_default_sequence_slows_down_gently_and_then_stops_firmly() -> None:
    stop = begun(*BOTH)
    assert [stop.accel_mps2(round(at * S)) for at in (0, 1.99, 2.0, 30.0)] == [-1.0, -1.0, -2.5, -2.5]


def test_it_is_complete_when_the_vehicle_has_stood_for_the_last_phase() -> None:
    stop = begun(*BOTH)
    assert stop.ended(8 * S, 5.0) == ""
    assert stop.ended(9 * S, 0.05) == ""
    assert stop.ended(10 * S - 1, 0.0) == ""
    assert stop.ended(10 * S, 0.0) == "standstill"


def test_a_vehicle_that_rolls_again_does_not_stand() -> None:
    stop = begun(*BOTH)
    assert stop.ended(8 * S, 0.0) == ""
    assert stop.ended(8 * S + S // 2, -0.1) == ""
    assert stop.ended(9 * S, 0.0) == ""
    assert stop.ended(10 * S, 0.0) == "standstill"


def test_without_a_speed_to_believe_it_lasts_longer_than_any_stop_can_take() -> None:
    for speed_mps in (20.0, -20.0):
        stop = begun(*BOTH, speed_mps=speed_mps)
        longest_s = 1.5 * (20.0 / 1.0 + 1.0)
        assert stop.ended(round(longest_s * S) - 1, None) == ""
        assert stop.ended(round(longest_s * S), None) == "stop-in-lane-over"


@pytest.mark.parametrize(
    ("answering", "name", "accel_mps2", "lets_go_of"),
    [
        (BOTH, "stop-in-lane", -1.0, (False, False, False)),
        ((SPEED,), "stop", -2.5, (True, False, False)),
        ((LANE,), "keep-lane", None, (False, True, False)),
        ((), "release", None, (True, True, True)),
    ],
)
def test_what_still_answers_chooses_the_sequence(
    answering: tuple[str, ...], name: str, accel_mps2: float | None, lets_go_of: tuple[bool, ...]
) -> None:
    stop = begun(*answering)
    assert (stop.sequence.name, stop.accel_mps2(0)) == (name, accel_mps2)
    assert tuple(stop.sequence.lets_go_of(quantity) for quantity in (LANE, SPEED, "other")) == lets_go_of


def test_a_sequence_that_cannot_slow_down_ends_after_its_time_and_nothing_ends_at_once() -> None:
    assert [begun(LANE).ended(at, 0.0) for at in (0, 10 * S - 1, 10 * S)] == ["", "", "keep-lane-over"]
    assert begun().ended(0, 20.0) == "release-over"


def test_an_actuator_that_falls_away_begins_a_later_sequence_anew_and_nothing_moves_back() -> None:
    stop = begun(*BOTH)
    stop.choose(BOTH, 5 * S, 10.0)
    assert stop.accel_mps2(5 * S) == -2.5
    stop.choose((LANE,), 6 * S, 8.0)
    assert [stop.ended(at * S, 8.0) for at in (6, 15, 16)] == ["", "", "keep-lane-over"]
    stop.choose(BOTH, 7 * S, 8.0)
    assert stop.sequence.name == "keep-lane"
    stop.choose((), 8 * S, 8.0)
    assert stop.sequence.name == "release"


def test_what_was_released_does_not_come_back_when_another_actuator_falls_away() -> None:
    stop = begun(SPEED)
    stop.choose((LANE,), 1 * S, 20.0)
    assert stop.sequence.name == "release"
    stop = SafeStop(SEQUENCES[1:], BOTH, 0, 20.0)
    stop.choose(BOTH, 1 * S, 20.0)
    assert stop.sequence.name == "stop"
    stop.choose((LANE,), 2 * S, 20.0)
    assert stop.sequence.name == "release"


def test_the_time_that_a_vehicle_has_stood_counts_anew_in_a_new_sequence() -> None:
    stop = begun(*BOTH)
    assert stop.ended(9 * S, 0.0) == ""
    stop.choose((SPEED,), 9 * S, 0.0)
    assert [stop.ended(at, 0.0) for at in (10 * S, 11 * S - 1, 11 * S)] == ["", "", "standstill"]


def test_releasing_is_added_where_a_vehicle_does_not_declare_it() -> None:
    assert with_release(SEQUENCES) == SEQUENCES
    assert with_release(SEQUENCES[:1]) == (SEQUENCES[0], SEQUENCES[-1])


def sequence(*phases: tuple[float, float], uses: tuple[str, ...] = BOTH) -> StopSequence:
    made = tuple(Phase(name="a", accel_mps2=accel_mps2, lasts_s=lasts_s) for accel_mps2, lasts_s in phases)
    return StopSequence(name="mine", uses=uses, phases=made)


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (sequence(), 'safe stop "mine" needs at least one phase'),
        (sequence((0.0, 1.0)), 'phase "a": accel_mps2 is 0, expected -3.5 to below 0'),
        (sequence((-3.6, 1.0)), "accel_mps2 is -3.6"),
        (sequence((float("nan"), 1.0)), "accel_mps2 is nan"),
        (sequence((-3.5, 1.0), (-1.0, -1.0)), "lasts_s is -1, expected 0 to 60"),
        (sequence((-1.0, 60.0)), "lasts_s is 60"),
        (sequence((-1.0, 1.0), uses=(LANE,)), "accel_mps2 is -1, expected 0: it does not use the acceleration"),
        (sequence((-1.0, 1.0), uses=("brakes",)), 'safe stop "mine" uses "brakes", expected acceleration or'),
        (sequence((-3.5, 0.0), (-0.1, 59.9)), ""),
        (sequence(uses=()), ""),
    ],
)
def test_sequences_that_do_not_stop_are_refused(declared: StopSequence, text: str) -> None:
    found = check_sequences((SEQUENCES[0], declared))
    assert text in found
    assert bool(found) is bool(text)
    assert check_sequences(SEQUENCES) == ""
