"""Thinning: rates without drift and without surprises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.outbox.telemetry import Thinning

MS = 1_000_000


def test_a_tenth_of_a_steady_topic_is_every_tenth_message() -> None:
    thinning = Thinning({}, 10.0)
    kept = [number for number in range(1000) if thinning.keeps("a/b", number * 10 * MS + number % 3)]
    assert kept == list(range(0, 1000, 10))


def test_zero_keeps_everything() -> None:
    thinning = Thinning({"a/b": 0.0}, 1.0)
    assert all(thinning.keeps("a/b", stamp) for stamp in range(10))
    assert [thinning.keeps("c/d", stamp) for stamp in range(3)] == [True, False, False]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=100))
def test_no_second_has_more_than_the_rate_and_one(stamps_ms: list[int]) -> None:
    thinning = Thinning({}, 5.0)
    kept = [stamp for stamp in sorted(stamps_ms) if thinning.keeps("a/b", stamp * MS)]
    assert all(sum(start <= stamp < start + 1000 for stamp in kept) <= 6 for start in kept)
    assert kept[0] == min(stamps_ms)
