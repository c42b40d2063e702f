from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.link.offset import DRIFT_PPM, ClockOffset, Exchange

DELAYS = st.integers(0, 400_000_000)
GAPS = st.integers(1, 3 * NS_PER_S)


def exchange(at_ns: int, there_ns: int, back_ns: int, offset_ns: int, ppm: int = 0, held_ns: int = 1000) -> Exchange:
    """A question sent at `at_ns` to a clock that was `offset_ns` ahead at 0 and runs `ppm` faster."""

    def other(time_ns: int) -> int:
        return time_ns + offset_ns + time_ns * ppm // 1_000_000

    received, answered = at_ns + there_ns, at_ns + there_ns + held_ns
    return Exchange(at_ns, other(received), other(answered), answered + back_ns)


@given(
    st.integers(-(10**18), 10**18),
    st.integers(-DRIFT_PPM + 1, DRIFT_PPM - 1),
    st.lists(st.tuples(GAPS, DELAYS, DELAYS), min_size=1, max_size=30),
    st.integers(0, 100 * NS_PER_S),
)
def test_the_truth_is_within_the_uncertainty_however_unequal_the_ways_are(
    offset_ns: int, ppm: int, exchanges: list[tuple[int, int, int]], later_ns: int
) -> None:
    clock, now_ns = ClockOffset(), 0
    for gap_ns, there_ns, back_ns in exchanges:
        found = exchange(now_ns + gap_ns, there_ns, back_ns, offset_ns, ppm)
        clock.add(found)
        now_ns = found.back_ns
    now_ns += later_ns
    estimate = clock.at(now_ns)
    assert estimate is not None
    truth_ns = offset_ns + now_ns * ppm // 1_000_000
    assert abs(estimate.offset_ns - truth_ns) <= estimate.uncertainty_ns + 2, "2 ns: whole nanoseconds"
    assert clock.steps == 0
    sent_ns = now_ns - 5
    assert estimate.to_local_ns(sent_ns + truth_ns) <= sent_ns + 2, "nothing looks fresher than it is"


def test_one_short_round_trip_among_long_ones_counts() -> None:
    clock = ClockOffset()
    for at_s, delay_ns in enumerate([50_000_000, 100_000, 80_000_000, 90_000_000]):
        clock.add(exchange(at_s * NS_PER_S, delay_ns, delay_ns * 2, offset_ns=12345))
    estimate = clock.at(4 * NS_PER_S)
    assert estimate is not None
    assert estimate.uncertainty_ns < 1_000_000
    assert abs(estimate.offset_ns - 12345) <= estimate.uncertainty_ns


def test_a_clock_that_was_stopped_is_noticed_and_followed() -> None:
    clock = ClockOffset()
    clock.add(exchange(0, 1000, 1000, offset_ns=0))
    clock.add(exchange(NS_PER_S, 1000, 1000, offset_ns=-NS_PER_S))
    estimate = clock.at(NS_PER_S + 3000)
    assert estimate is not None
    assert clock.steps == 1
    assert abs(estimate.offset_ns + NS_PER_S) <= estimate.uncertainty_ns


def test_impossible_times_are_ignored() -> None:
    clock = ClockOffset()
    for times in ((10, 5, 5, 9), (0, 6, 5, 10), (0, 5, 50, 10)):
        assert not clock.add(Exchange(*times))
    assert clock.at(0) is None


def test_nothing_is_known_of_a_computer_that_has_started_again() -> None:
    clock = ClockOffset()
    clock.add(exchange(0, 1000, 1000, offset_ns=77))
    clock.forget()
    assert clock.at(5000) is None
    clock.add(exchange(NS_PER_S, 1000, 1000, offset_ns=-99 * NS_PER_S))
    assert clock.steps == 0
