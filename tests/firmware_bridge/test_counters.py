"""Message counters: what the receiver concludes."""

from __future__ import annotations

from cardan.firmware_bridge.counters import CounterWatch, Sequence


def judged(counters: list[int], *, modulus: int = 15, max_lost: int = 2) -> list[Sequence]:
    watch = CounterWatch(modulus, max_lost)
    return [watch.see(counter) for counter in counters]


def test_a_counter_that_goes_up_by_one_is_ok_also_over_its_end() -> None:
    assert judged([13, 14, 0, 1]) == [Sequence.FIRST, Sequence.OK, Sequence.OK, Sequence.OK]


def test_a_frozen_counter_is_repeated() -> None:
    assert judged([4, 4, 4])[1:] == [Sequence.REPEATED, Sequence.REPEATED]


def test_up_to_max_lost_missing_messages_are_tolerated_and_one_more_is_wrong() -> None:
    assert judged([0, 3])[1] is Sequence.SOME_LOST
    assert judged([0, 4])[1] is Sequence.WRONG


def test_a_counter_that_goes_back_is_wrong() -> None:
    assert judged([5, 4])[1] is Sequence.WRONG


def test_after_a_wrong_counter_the_next_one_in_order_is_ok() -> None:
    assert judged([5, 12, 13])[1:] == [Sequence.WRONG, Sequence.OK]
