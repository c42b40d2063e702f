"""When the simulated driver engages."""

from __future__ import annotations

from cardan.firmware_bridge.sim_driver import EngageHabit

S = 1_000_000_000
STEP_NS = S // 100


def presses(
    habit: EngageHabit, until_s: float, *, engaged_s: list[tuple[float, float]], wish: float = 0.5
) -> list[float]:
    """Moments at which the button goes down. engaged_s: begin and end of each engagement."""
    moments, before = [], False
    for step in range(round(until_s * 100)):
        now_s = step / 100
        engaged = any(begin <= now_s < end for begin, end in engaged_s)
        engage = habit.pedals(step * STEP_NS, engaged=engaged, wish_mps2=0.5).engage
        if engage and not before:
            moments.append(now_s)
        before = engage
    return moments


def habit() -> EngageHabit:
    return EngageHabit(first_s=1.0, again_s=2.0, retry_s=0.5)


def test_the_driver_engages_a_second_after_the_start_and_keeps_hands_off_while_engaged() -> None:
    assert presses(habit(), 9.0, engaged_s=[(1.05, 9.0)]) == [1.0]


def test_the_driver_engages_again_two_seconds_after_a_disengagement() -> None:
    assert presses(habit(), 9.0, engaged_s=[(1.05, 4.0), (6.05, 9.0)]) == [1.0, 6.0]


def test_a_press_without_effect_is_tried_again() -> None:
    assert presses(habit(), 4.0, engaged_s=[]) == [1.0, 2.2, 3.4]


def test_a_press_lasts_a_fifth_of_a_second_and_the_feet_are_off_for_longer() -> None:
    driver = habit()
    states = [driver.pedals(step * STEP_NS, engaged=False, wish_mps2=1.5) for step in range(200)]
    assert [index for index, pedals in enumerate(states) if pedals.engage] == list(range(100, 120))
    assert [index for index, pedals in enumerate(states) if pedals.gas == 0] == list(range(100, 170))
    assert states[0].gas == 0.5


def test_in_dense_traffic_the_driver_brakes_first() -> None:
    driver = habit()
    states = [driver.pedals(step * STEP_NS, engaged=False, wish_mps2=-4.5) for step in range(200)]
    assert all(pedals.brake == 0.5 and not pedals.engage for pedals in states)


def test_an_engaged_driver_touches_nothing() -> None:
    pedals = habit().pedals(0, engaged=True, wish_mps2=-5.0)
    assert (pedals.brake, pedals.gas, pedals.engage, pedals.steering) == (0, 0, False, False)
