"""Of what is said again and again a few are written, and no repeat is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import ns
from cardan.runtime.log.repeats import KINDS, Repeats


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3_000)), max_size=200))
def test_every_record_is_written_or_counted_once(said: list[tuple[str, int]]) -> None:
    repeats, now_ns = Repeats(most=3, window_ns=ns(1.0)), 0
    written, counted = 0, 0
    for kind, wait_ms in said:
        now_ns += wait_ms * 1_000_000
        counted += sum(held.times for held in repeats.take_held(now_ns))
        written += repeats.may_write(kind, now_ns)
    counted += sum(held.times for held in repeats.take_held(now_ns, all_of_it=True))
    assert written + counted == len(said)


def test_a_babbler_is_written_twenty_times_in_ten_seconds_and_then_counted() -> None:
    repeats = Repeats()
    written = sum(repeats.may_write("hot", ns(step / 100)) for step in range(1000))
    assert written == 20
    assert [(held.kind, held.times) for held in repeats.take_held(ns(10.0))] == [("hot", 980)]
    assert repeats.may_write("hot", ns(10.1))


def test_one_kind_does_not_silence_another() -> None:
    repeats = Repeats(most=1)
    assert repeats.may_write("a", 0) and repeats.may_write("b", 0)
    assert not repeats.may_write("a", 1)


def test_the_kinds_that_are_remembered_are_bounded() -> None:
    repeats = Repeats(most=1)
    for kind in range(10 * KINDS):
        repeats.may_write(kind, 0)
    assert len(repeats._kinds) <= KINDS
