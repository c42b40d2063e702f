"""The safe stop: phases by time, complete at standstill."""

from __future__ import annotations

import pytest

from cardan.firmware_bridge.safe_stop import SEQUENCE, Phase, SafeStop, check_sequence

S = 1_000_000_000


def test_the_default_sequence_slows_down_gently_and_then_stops_firmly() -> None:
    stop = SafeStop(SEQUENCE, 0, 20.0)
    assert [stop.phase(round(at * S)).accel_mps2 for at in (0, 1.99, 2.0, 30.0)] == [-1.0, -1.0, -2.5, -2.5]


def test_it_is_complete_when_the_vehicle_has_stood_for_the_last_phase() -> None:
    stop = SafeStop(SEQUENCE, 0, 20.0)
    assert not stop.complete(8 * S, 5.0)
    assert not stop.complete(9 * S, 0.05)
    assert not stop.complete(10 * S - 1, 0.0)
    assert stop.complete(10 * S, 0.0)


def test_a_vehicle_that_rolls_again_does_not_stand() -> None:
    stop = SafeStop(SEQUENCE, 0, 20.0)
    assert not stop.complete(8 * S, 0.0)
    assert not stop.complete(8 * S + S // 2, -0.2)
    assert not stop.complete(9 * S, 0.0)
    assert stop.complete(10 * S, 0.0)


def test_without_a_speed_to_believe_it_lasts_longer_than_any_stop_can_take() -> None:
    stop = SafeStop(SEQUENCE, 0, 20.0)
    longest_s = 1.5 * (20.0 / 1.0 + 1.0)
    assert not stop.complete(round(longest_s * S) - 1, None)
    assert stop.complete(round(longest_s * S), None)


@pytest.mark.parametrize(
    ("phases", "text"),
    [
        ((), "at least one phase"),
        ((Phase(name="a", accel_mps2=0.0, lasts_s=1.0),), 'phase "a": accel_mps2 is 0, expected -3.5 to below 0'),
        ((Phase(name="a", accel_mps2=-3.6, lasts_s=1.0),), "accel_mps2 is -3.6"),
        ((Phase(name="a", accel_mps2=float("nan"), lasts_s=1.0),), "accel_mps2 is nan"),
        ((Phase(name="a", accel_mps2=-1.0, lasts_s=-1.0),), "lasts_s is -1, expected 0 to 60"),
        ((Phase(name="a", accel_mps2=-1.0, lasts_s=60.0),), "lasts_s is 60"),
        (SEQUENCE, ""),
    ],
)
def test_a_sequence_that_does_not_stop_is_refused(phases: tuple[Phase, ...], text: str) -> None:
    found = check_sequence(phases)
    assert text in found
    assert bool(found) is bool(text)
