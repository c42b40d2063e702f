"""The budget lets through what it says, over any stretch of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.live.budget import Budget

STEPS = st.lists(st.tuples(st.integers(0, NS_PER_S // 4), st.integers(1, 3000)), max_size=200)


@given(STEPS, st.floats(1, 100), st.floats(100, 10_000))
def test_no_stretch_of_time_has_more_than_its_rate_and_one_second_of_it(
    steps: list[tuple[int, int]], messages_per_s: float, bytes_per_s: float
) -> None:
    budget = Budget(messages_per_s, bytes_per_s)
    now_ns, count, size = 0, 0, 0
    for elapsed_ns, length in steps:
        now_ns += elapsed_ns
        if budget.takes(length, now_ns):
            count, size = count + 1, size + length
        elapsed_s = now_ns / NS_PER_S
        assert count <= messages_per_s * (1 + elapsed_s) + 1e-6
        assert size <= bytes_per_s * (1 + elapsed_s) + max(3000, bytes_per_s)


def test_a_message_longer_than_a_second_of_bytes_passes_alone_and_is_paid_for() -> None:
    budget = Budget(10, 100)
    assert budget.takes(250, 0)
    assert not budget.takes(1, NS_PER_S)
    assert budget.takes(1, 2 * NS_PER_S)


def test_what_did_not_leave_is_given_back() -> None:
    budget = Budget(1, 100)
    assert budget.takes(10, 0)
    budget.give_back(10)
    assert budget.takes(10, 0)
    assert not budget.takes(10, 0)
