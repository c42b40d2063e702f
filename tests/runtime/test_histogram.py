from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.histogram import BUCKETS, bucket_bounds, bucket_of, percentile


@given(st.integers(0, 2**49 - 1))
def test_a_value_lies_within_the_bounds_of_its_bucket(value: int) -> None:
    low, high = bucket_bounds(bucket_of(value))
    assert low <= value < high


@given(st.integers(0, BUCKETS - 2))
def test_buckets_follow_each_other_without_gap(index: int) -> None:
    assert bucket_bounds(index)[1] == bucket_bounds(index + 1)[0]
    assert bucket_of(bucket_bounds(index)[0]) == index


def test_values_out_of_range_go_to_the_first_and_last_bucket() -> None:
    assert bucket_of(-5) == 0
    assert bucket_of(2**60) == BUCKETS - 1


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_within_a_bucket_of_the_true_one(values: list[int], fraction: float) -> None:
    counts = [0] * BUCKETS
    for value in values:
        counts[bucket_of(value)] += 1
    rank = max(1, -int(-fraction * len(values) // 1))
    true = sorted(values)[rank - 1]
    low, high = bucket_bounds(bucket_of(true))
    assert low - 1 <= percentile(counts, fraction) <= high


def test_nothing_recorded_gives_zero() -> None:
    assert percentile([0] * BUCKETS, 0.99) == 0.0
