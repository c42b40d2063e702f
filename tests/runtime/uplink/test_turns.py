"""The order of classes, and when to try again."""

from __future__ import annotations

from itertools import count
from random import Random

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.backoff import LONGEST_WAIT_NS, Backoff
from cardan.runtime.uplink.turns import PATIENCE_NS, Turns

CRITICAL, EVENT, TREND, BULK = RecordClass


def test_the_higher_class_is_first() -> None:
    assert Turns(0).order([BULK, CRITICAL, TREND], 0) == [CRITICAL, TREND, BULK]


def test_a_class_that_waited_too_long_has_one_turn() -> None:
    turns, now_ns = Turns(0), PATIENCE_NS[TREND] + 1
    order = turns.order(RecordClass, now_ns)
    assert order == [EVENT, TREND, CRITICAL, BULK]
    turns.took(order, TREND, now_ns)  # EVENT had nothing
    assert turns.order(RecordClass, now_ns) == list(RecordClass)


def test_who_had_nothing_to_send_does_not_grow_old() -> None:
    turns = Turns(0)
    for now_ns in range(0, 10 * PATIENCE_NS[BULK], NS_PER_S * 100):
        turns.took(turns.order(RecordClass, now_ns), None, now_ns)
        assert turns.order(RecordClass, now_ns) == list(RecordClass)


def test_bulk_gets_through_below_endless_critical_records() -> None:
    turns = Turns(0)
    for now_s in count():
        order = turns.order(RecordClass, now_s * NS_PER_S)
        taken = next(kind for kind in order if kind in (CRITICAL, BULK))
        turns.took(order, taken, now_s * NS_PER_S)
        if taken is BULK:
            break
    assert now_s == PATIENCE_NS[BULK] // NS_PER_S + 1


def test_waiting_doubles_and_has_full_jitter() -> None:
    waits = []
    for seed in range(200):
        backoff = Backoff(Random(seed))
        for _ in range(12):
            backoff.failed(0)
        waits.append(backoff.until_ns)
        assert backoff.failures == 12
    assert max(waits) <= LONGEST_WAIT_NS
    assert min(waits) < LONGEST_WAIT_NS / 20
    backoff.reset()
    assert (backoff.failures, backoff.until_ns) == (0, 0)
