"""Conditions on rows of messages: by example, and beside an evaluator that looks through everything there ever was."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardan.runtime.conditions.evaluate import OPERATORS, Evaluator, Outcome
from cardan.runtime.conditions.parse import condition_of
from cardan.runtime.conditions.tree import (
    Arithmetic,
    Compare,
    Every,
    Field,
    Lasting,
    Literal,
    Messages,
    Not,
    Rising,
    Some,
    TopicState,
    Tree,
    Unary,
    Until,
    Window,
    topics_of,
)
from cardan.runtime.conditions.window import SLICES, SlidingWindow, slice_ns
from cardan.runtime.messages import Message

MS = 1_000_000
S = 1000 * MS


class Thing(Message, frozen=True, kw_only=True):
    v: float = 0.0
    b: bool = False
    t: str = ""
    items: tuple[float, ...] = ()
    maybe: float | None = None


TYPES: dict[str, type[Message]] = {"n/x": Thing, "n/y": Thing}


def run(text: str, *events: tuple[float, str, dict[str, Any]] | float) -> list[Outcome]:
    """Events: (seconds, topic, fields) for a message, seconds alone for passing time."""
    evaluator = Evaluator(condition_of(text), TYPES)
    outcomes = []
    for event in events:
        if isinstance(event, tuple):
            time_s, topic, fields = event
            valid = fields.get("valid", True)
            thing = Thing(**{name: value for name, value in fields.items() if name != "valid"})
            outcomes.append(evaluator.update(f"n/{topic}", round(time_s * S), thing, valid=valid))
        else:
            outcomes.append(evaluator.tick(round(event * S)))
    return outcomes


def holds(text: str, *events: tuple[float, str, dict[str, Any]] | float) -> list[bool | None]:
    return [outcome.holds for outcome in run(text, *events)]


def fired(text: str, *events: tuple[float, str, dict[str, Any]] | float) -> list[bool]:
    return [outcome.fired for outcome in run(text, *events)]


def x(time_s: float, v: float, **fields: Any) -> tuple[float, str, dict[str, Any]]:
    return time_s, "x", {"v": v, **fields}


def test_a_value_is_unknown_before_it_comes_when_it_is_invalid_and_when_it_is_old() -> None:
    assert holds("n/x.v > 1", 0.0, x(1.0, 2), 2.0, 2.1, x(3.0, 2, valid=False)) == [None, True, True, None, None]
    assert holds("last(n/x.v, 5 s) > 1", x(1.0, 2), 6.0, 6.1) == [True, True, None]


def test_missing_stale_and_invalid_are_three_cases() -> None:
    events = (0.0, x(1.0, 2), 1.6, x(2.0, 2, valid=False), x(2.1, 2))
    assert holds("missing(n/x)", *events) == [True, False, False, False, False]
    assert holds("stale(n/x, 500 ms)", *events) == [False, False, True, False, False]
    assert holds("invalid(n/x)", *events) == [False, False, False, True, False]
    assert holds("stale(n/x, 500 ms)", 0.0, 0.5, 0.6) == [False, False, True]


def test_unknown_values_go_through_and_or_and_not() -> None:
    events = (x(0.0, 1, b=True),)
    assert holds("n/x.b and n/y.b", *events) == [None]
    assert holds("n/x.b or n/y.b", *events) == [True]
    assert holds("not n/x.b and n/y.b", *events) == [False]
    assert holds("not n/y.b", *events) == [None]
    assert holds("not n/x.b or n/y.b", *events) == [None]


@pytest.mark.parametrize("text", ["n/x.v / n/x.maybe > 0", "n/x.v * 1e300 * 1e300 > 0", "n/x.items[1] > 0"])
def test_what_has_no_finite_value_is_unknown(text: str) -> None:
    assert holds(text, x(0.0, 1e10, maybe=0.0, items=(1.0,))) == [None]
    assert holds("n/x.v > 0", x(0.0, float("nan")), x(0.1, float("inf"))) == [None, None]


def test_lengths_texts_and_items() -> None:
    event = x(0.0, 0, t="late", items=(1.0, 5.0))
    assert holds("len(n/x.items) == 2 and n/x.items[1] == 5 and n/x.t == 'late' and abs(-2) == 2", event) == [True]


def test_for_needs_a_stretch_without_a_break() -> None:
    text = "n/x.v > 1 for 1 s"
    assert holds(text, x(0.0, 2), x(0.5, 2), x(0.9, 2), 1.0) == [False, False, False, True]
    assert holds(text, x(0.0, 2), x(0.5, 0), x(0.9, 2), 1.5, 1.9) == [False, False, False, False, True]


def test_for_is_broken_by_a_gap_in_which_nothing_was_known() -> None:
    assert holds("n/x.v > 1 for 3 s", x(0.0, 2), x(5.0, 2), 6.0) == [False, False, False]


def test_for_also_counts_up_to_the_message_that_ends_it() -> None:
    assert run("n/x.v > 1 for 1 s", x(0.0, 2), x(1.0, 0)) == [(False, False), (False, True)]


def test_rising_is_a_moment_and_the_first_value_is_none() -> None:
    text = "rising(n/x.b)"
    events = (x(0, 0, b=True), x(0.1, 0, b=False), x(0.2, 0, b=True), x(0.3, 0, b=True), x(0.4, 0), x(0.5, 0, b=True))
    assert holds(text, *events) == [False, False, True, False, False, True]


def test_until_is_hysteresis() -> None:
    speeds = [5, 9, 11, 9, 8, 7, 9, 11]
    events = [x(0.1 * index, speed) for index, speed in enumerate(speeds)]
    assert holds("n/x.v > 10 until n/x.v < 8", *events) == [False, False, True, True, True, False, False, True]


def test_windows_look_back_over_the_messages_of_their_time() -> None:
    events = [x(0.5 * index, value) for index, value in enumerate([1, 5, 2, 2, 2])]
    assert holds("max(n/x.v, 1.2 s) >= 5", *events) == [False, True, True, True, False]
    assert holds("min(n/x.v, 1.2 s) >= 2", *events) == [False, False, False, True, True]
    assert holds("sum(n/x.v, 1.2 s) > 8", *events) == [False, False, False, True, False]
    assert holds("avg(n/x.v, 1.2 s) == 3", *events) == [False, True, False, True, False]
    assert holds("count(n/x.v < 3, 1.2 s) == 2", *events) == [False, False, True, True, False]
    assert holds("count(n/x, 1.2 s) == 3", *events) == [False, False, True, True, True]


def test_a_window_without_messages_has_no_extremes_and_counts_zero() -> None:
    assert holds("max(n/x.v, 1 s) > 0", 0.0, x(1.0, 1), 5.0) == [None, True, None]
    assert holds("count(n/x, 1 s) == 0", 0.0, x(1.0, 1), 5.0) == [True, False, True]


def test_it_fires_once_until_it_was_false_again_and_keeps_its_interval() -> None:
    events = [x(0.4 * index, value) for index, value in enumerate([2, 2, 0, 2, 0, 2])]
    assert fired("n/x.v > 1", *events) == [True, False, False, True, False, True]
    evaluator = Evaluator(condition_of("n/x.v > 1 every 1.5 s"), TYPES)
    results = [evaluator.update("n/x", round(time * S), Thing(**fields)).fired for time, _, fields in events]
    assert results == [True, False, False, False, False, True]
    assert evaluator.suppressed == 1


def test_a_gap_does_not_make_it_fire_again() -> None:
    assert fired("n/x.v > 1", x(0.0, 2), 5.0, x(6.0, 2), x(7.0, 0), x(7.5, 2)) == [True, False, False, False, True]


def test_a_message_from_the_past_does_not_turn_time_back() -> None:
    assert holds("n/x.v > 1 for 1 s", x(5.0, 2), x(4.0, 2), 5.9, 6.0) == [False, False, False, True]


def test_a_window_keeps_a_bounded_number_of_slices() -> None:
    window = SlidingWindow(S)
    for index in range(100_000):
        window.add(index * 100_000, 1.0)
        aggregate = window.aggregate(index * 100_000)
        assert len(window) <= 2 * SLICES
    assert aggregate.number * 100_000 > S * (1 - 2 / SLICES)
    assert aggregate.number <= S // 100_000


class Look(NamedTuple):
    """One moment at which everything is looked at."""

    now_ns: int
    came: str | None
    newest: dict[str, tuple[int, Thing, bool]]


class Naive:
    """Says by definition what each part of a condition is at each look, from all looks before it."""

    def __init__(self, events: list[tuple[int, str | None, Thing, bool]]) -> None:
        self.looks: list[Look] = []
        newest: dict[str, tuple[int, Thing, bool]] = {}
        now_ns = 0
        for time_ns, topic, thing, valid in events:
            now_ns = max(now_ns, time_ns)
            self.looks.append(Look(now_ns, None, dict(newest)))
            if topic is not None:
                newest[topic] = (now_ns, thing, valid)
                self.looks.append(Look(now_ns, topic, dict(newest)))
        self.value = lru_cache(maxsize=None)(self._value)

    def _value(self, tree: Tree, at: int) -> Any:
        look = self.looks[at]
        if isinstance(tree, Literal):
            return tree.value
        if isinstance(tree, Field):
            item = look.newest.get(tree.topic)
            known = item is not None and item[2] and look.now_ns - item[0] <= tree.age_ns
            return getattr(item[1], str(tree.path[0])) if item is not None and known else None
        if isinstance(tree, TopicState):
            return self._state(tree, look)
        if isinstance(tree, (Window, Messages)):
            return self._window(tree, at)
        if isinstance(tree, Lasting):
            return self._lasting(tree, at)
        if isinstance(tree, Rising):
            return self._rising(tree, at)
        if isinstance(tree, Until):
            return self._until(tree, at)
        values = [self.value(part, at) for part in tree.parts()]
        if isinstance(tree, Every):
            return False if False in values else None if None in values else True
        if isinstance(tree, Some):
            return True if True in values else None if None in values else False
        if None in values:
            return None
        if isinstance(tree, Not):
            return not values[0]
        if isinstance(tree, Unary):
            return -values[0] if tree.operator == "-" else abs(values[0])
        assert isinstance(tree, (Compare, Arithmetic))
        return None if tree.operator == "/" and values[1] == 0 else OPERATORS[tree.operator](*values)

    def _state(self, tree: TopicState, look: Look) -> bool:
        item = look.newest.get(tree.topic)
        if tree.state == "missing":
            return item is None
        if tree.state == "invalid":
            return item is not None and not item[2]
        return look.now_ns - (self.looks[0].now_ns if item is None else item[0]) > tree.age_ns

    def _window(self, tree: Window | Messages, at: int) -> Any:
        topics = {tree.topic} if isinstance(tree, Messages) else topics_of(tree.item)
        width = slice_ns(tree.span_ns)
        first = self.looks[at].now_ns // width - SLICES + 1
        looks = [i for i in range(at + 1) if self.looks[i].came in topics and self.looks[i].now_ns // width >= first]
        if isinstance(tree, Messages):
            return len(looks)
        values = [value for i in looks if (value := self.value(tree.item, i)) is not None]
        if tree.function in ("count", "sum"):
            return sum(values)
        if not values:
            return None
        return {"min": min(values), "max": max(values), "avg": sum(values) / len(values)}[tree.function]

    def _lasting(self, tree: Lasting, at: int) -> Any:
        if not self.value(tree.item, at):
            return self.value(tree.item, at)
        begin = max((i + 1 for i in range(at) if not self.value(tree.item, i)), default=0)
        return self.looks[at].now_ns - self.looks[begin].now_ns >= tree.span_ns

    def _rising(self, tree: Rising, at: int) -> Any:
        value = self.value(tree.item, at)
        before = [known for i in range(at) if (known := self.value(tree.item, i)) is not None]
        return None if value is None else value and before[-1:] == [False]

    def _until(self, tree: Until, at: int) -> Any:
        if self.value(tree.begin, at) is None and self.value(tree.end, at) is None:
            return None
        ended = max((i for i in range(at + 1) if self.value(tree.end, i)), default=-1)
        return any(self.value(tree.begin, i) for i in range(ended + 1, at + 1))


SPANS = st.sampled_from(["100 ms", "300 ms", "1 s"])
EXACT = st.recursive(
    st.sampled_from(["n/x.v", "n/y.v", "last(n/x.v, 3 s)", "1", "2", "-1", "count(n/x, 500 ms)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["min", "max", "sum"]), inner, SPANS).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        inner.map(lambda text: f"abs({text})"),
    ),
    max_leaves=4,
)
NUMBERS = st.one_of(
    EXACT,
    st.tuples(EXACT, SPANS).map(lambda t: f"avg({t[0]}, {t[1]})"),
    st.tuples(EXACT, EXACT).map(lambda t: f"{t[0]} / {t[1]}"),
)
"""Whole numbers in every part that is summed up, so that the order of adding does not matter."""
BASIC = st.one_of(
    st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(" ".join),
    st.sampled_from(["n/x.b", "n/y.b", "missing(n/y)", "invalid(n/x)", "stale(n/x, 300 ms)"]),
)
CONDITIONS = st.recursive(
    BASIC,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "until"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        inner.map(lambda text: f"not ({text})"),
        inner.map(lambda text: f"rising({text})"),
        st.tuples(inner, SPANS).map(lambda t: f"({t[0]}) for {t[1]}"),
        st.tuples(inner, SPANS).map(lambda t: f"count({t[0]}, {t[1]}) > 1"),
    ),
    max_leaves=4,
)
THINGS = st.builds(Thing, v=st.integers(-3, 3).map(float), b=st.booleans())
EVENTS = st.lists(
    st.tuples(st.integers(-50, 400), st.sampled_from([None, "n/x", "n/x", "n/y"]), THINGS, st.integers(0, 4)),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(CONDITIONS, EVENTS)
def test_step_by_step_and_by_definition_every_condition_says_the_same(text: str, steps: list[Any]) -> None:
    condition = condition_of(text) if "n/" in text else condition_of(f"({text}) or n/x.b")
    evaluator = Evaluator(condition, TYPES)
    now_ms = 1000
    events: list[tuple[int, str | None, Thing, bool]] = []
    for step_ms, topic, thing, luck in steps:
        now_ms += step_ms
        events.append((now_ms * MS, topic if topic in condition.topics else None, thing, luck > 0))
    naive = Naive(events)
    looks = iter(range(len(naive.looks)))
    for time_ns, topic, thing, valid in events:
        if topic is None:
            outcome = evaluator.tick(time_ns)
        else:
            next(looks)
            outcome = evaluator.update(topic, time_ns, thing, valid=valid)
        expected = naive.value(condition.root, next(looks))
        assert outcome.holds == (None if expected is None else bool(expected)), text
