from cardan.runtime.clock import FakeClock
from cardan.runtime.link.repeats import MOST, Repeats


def test_a_thing_is_said_at_once_and_then_at_most_every_ten_seconds() -> None:
    said: list[str] = []
    clock = FakeClock()
    say = Repeats(said.append, clock)
    for _ in range(100):
        say("knock")
        clock.advance_s(0.2)
    assert said == ["knock", "knock (49 times more since)"]


def test_what_is_remembered_has_a_bound() -> None:
    said: list[str] = []
    say = Repeats(said.append, FakeClock())
    for number in range(10 * MOST):
        say(str(number))
    assert len(said) == 10 * MOST
    assert len(say._said) == MOST
