from cardan.runtime.clock import NS_PER_S, FakeClock, MonotonicClock, ns


def test_a_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(start_ns=5)
    assert clock.now_ns() == clock.now_ns() == 5
    clock.advance_s(0.25)
    assert clock.now_ns() == 5 + ns(0.25)


def test_a_fake_clock_sleeps_to_a_deadline_and_never_back() -> None:
    clock = FakeClock(start_ns=100)
    clock.sleep_until_ns(300)
    clock.sleep_until_ns(200, spin=True)
    assert clock.now_ns() == 300


def test_a_jump_of_wall_time_leaves_monotonic_time_alone() -> None:
    clock = FakeClock()
    before_ns, wall_ns = clock.now_ns(), clock.wall_ns()
    clock.jump_wall_s(-3600)
    assert clock.now_ns() == before_ns
    assert clock.wall_ns() == wall_ns - 3600 * NS_PER_S


def test_the_monotonic_clock_never_wakes_up_early() -> None:
    clock = MonotonicClock()
    for spin in (False, True):
        deadline_ns = clock.now_ns() + 2_000_000
        clock.sleep_until_ns(deadline_ns, spin=spin)
        assert clock.now_ns() >= deadline_ns


def test_a_deadline_in_the_past_returns_at_once() -> None:
    clock = MonotonicClock()
    clock.sleep_until_ns(clock.now_ns() - NS_PER_S)
    assert clock.wall_ns() > 0


def test_seconds_are_rounded_to_the_nearest_nanosecond() -> None:
    assert ns(0.1) == 100_000_000
