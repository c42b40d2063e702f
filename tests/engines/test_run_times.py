from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from cardan.engines.run_times import RunTimes


def test_until_runs_are_known_the_declared_time_counts() -> None:
    times = RunTimes(5_000)
    assert (times.estimate_ns, times.typical_ns) == (5_000, 5_000)
    times.add(1_000)
    assert (times.estimate_ns, times.typical_ns) == (5_000, 1_000)


def test_a_longer_first_run_counts_at_once() -> None:
    times = RunTimes(5_000)
    times.add(9_000)
    assert times.estimate_ns == 9_000


def test_one_outlier_in_two_hundred_does_not_raise_the_estimate_and_ten_slow_runs_do() -> None:
    times = RunTimes(0)
    for count in range(1_000):
        times.add(30_000 if count % 200 == 199 else 10_000)
    assert times.estimate_ns == 10_000
    for _ in range(10):
        times.add(20_000)
    assert times.estimate_ns == 20_000
    assert times.typical_ns == 10_000


@given(some.lists(some.integers(1, 10**9), min_size=1, max_size=60), some.integers(1, 20))
def test_the_estimates_are_quantiles_of_the_newest_runs(runs: list[int], window: int) -> None:
    times = RunTimes(0, window=window, trust_after=0)
    for run_ns in runs:
        times.add(run_ns)
    kept = sorted(runs[-window:])
    assert times.estimate_ns == kept[int(0.99 * (len(kept) - 1))]
    assert times.typical_ns == kept[len(kept) // 2]
