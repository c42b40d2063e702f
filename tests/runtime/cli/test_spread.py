"""Durations as figures and as a small histogram."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.cli.spread import COLUMNS, LEVELS, bars_of, counts_of, jitter_of, picture, spread_text

durations = st.lists(st.integers(0, 10**12))


def test_nothing_measured_is_shown_as_nothing() -> None:
    assert jitter_of([]) is None
    assert bars_of(counts_of([])) == []
    assert picture([]) == ""
    assert spread_text(None) == "p50 -, p99 -, max -"


def test_short_durations_are_shown_in_microseconds() -> None:
    assert spread_text(jitter_of([4_000] * 98 + [38_000, 1_700_000])) == "p50 4.0 us, p99 1.70 ms, max 1.70 ms"


@given(durations)
def test_every_duration_lies_in_its_bar_and_is_counted_once(durations_ns: list[int]) -> None:
    bars = bars_of(counts_of(durations_ns))
    assert sum(bar.count for bar in bars) == len(durations_ns)
    assert all(one.high_ms == two.low_ms for one, two in pairwise(bars))
    if durations_ns:
        assert bars[0].low_ms <= min(durations_ns) / 1e6 < bars[0].high_ms
        assert bars[-1].low_ms <= max(durations_ns) / 1e6 < bars[-1].high_ms


@given(durations)
def test_the_picture_fits_and_shows_the_highest_bar_and_every_one_that_is_not_empty(durations_ns: list[int]) -> None:
    bars = bars_of(counts_of(durations_ns))
    shown = picture(bars)
    assert len(shown) <= COLUMNS
    if bars:
        assert LEVELS[-1] in shown
        assert shown[0] != LEVELS[0] != shown[-1]
