from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.link.gaps import Gaps


@given(st.sets(st.integers(0, 60), min_size=1), st.sets(st.integers(0, 60), min_size=1))
def test_taken_and_lost_make_up_what_was_sent(first: set[int], second: set[int]) -> None:
    gaps = Gaps()
    taken = sum(gaps.take(1, seq) is not None for seq in sorted(first))
    assert taken + gaps.lost == max(first) - min(first) + 1, "from the first that was seen on"
    taken += sum(gaps.take(2, seq) is not None for seq in sorted(second))
    assert taken + gaps.lost == max(first) - min(first) + 1 + max(second) + 1, "a new publisher begins at 0"
    assert gaps.restarts == 1


def test_what_is_said_again_is_no_news() -> None:
    gaps = Gaps()
    assert [gaps.take(1, seq) for seq in (5, 5, 7, 6, 8)] == [0, None, 1, None, 0]


def test_another_run_begins_anew() -> None:
    gaps = Gaps()
    gaps.take(1, 500)
    gaps.forget()
    assert gaps.take(1, 3) == 0
    assert gaps.lost == 0
