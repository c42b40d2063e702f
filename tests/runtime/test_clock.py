from cardan.runtime.clock import NS_PER_S, SPIN_MOST_NS, SPIN_NS, FakeClock, MonotonicClock, next_early_ns, ns


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


def test_spinning_begins_earlier_after_a_sleep_that_ended_late_and_within_bounds() -> None:
    assert next_early_ns(SPIN_NS, 0) == SPIN_NS
    assert next_early_ns(SPIN_NS, 120_000) == 180_000
    assert next_early_ns(SPIN_NS, 5_000_000) == SPIN_MOST_NS


def test_spinning_begins_late_again_when_sleep_ends_in_time() -> None:
    early_ns = SPIN_MOST_NS
    for _ in range(500):
        following_ns = next_early_ns(early_ns, 20_000)
        assert SPIN_NS <= following_ns <= early_ns
        early_ns = following_ns
    assert early_ns < SPIN_NS + SPIN_NS // 100
