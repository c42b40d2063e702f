import pytest

from cardan.runtime.bus.rate import RateMeter
from cardan.runtime.clock import ns


def test_the_rate_is_unknown_before_two_messages() -> None:
    assert RateMeter().hz(ns(5)) == 0.0


def test_the_rate_is_the_mean_of_the_last_intervals() -> None:
    meter = RateMeter()
    for _ in range(200):
        meter.add(ns(0.01), 1)
    assert meter.hz(0) == pytest.approx(100.0)
    for _ in range(200):
        meter.add(ns(0.02), 1)
    assert meter.hz(0) == pytest.approx(50.0, rel=0.01)


def test_messages_that_were_passed_over_count_too() -> None:
    meter = RateMeter()
    meter.add(ns(0.1), 10)
    assert meter.hz(0) == pytest.approx(100.0)


def test_a_silence_lowers_the_rate() -> None:
    meter = RateMeter()
    meter.add(ns(0.01), 1)
    assert meter.hz(ns(0.5)) == pytest.approx(2.0)
