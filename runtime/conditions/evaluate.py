"""Evaluate a condition message by message, on the messages' own clock, in bounded memory.

A value that is not known (nothing has come, the newest is not valid or too old, a number is not finite, a division by
zero) is None, and so is what follows from it: `false and unknown` is false, `true and unknown` is unknown, and an
unknown condition does not hold. Between two messages values stay as they are until they are too old: each message is
therefore looked at twice, at its time without it and with it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from cardan.runtime.conditions.kinds import Types, check_condition, plain_or_none
from cardan.runtime.conditions.tree import (
    Arithmetic,
    Compare,
    Condition,
    Every,
    Field,
    Lasting,
    Length,
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
from cardan.runtime.conditions.window import NOTHING, SlidingWindow

Value = Any
"""A number, a text, True, False, or None for what is not known."""

Read = Callable[[], Value]

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Outcome(NamedTuple):
    """What a condition says now."""

    holds: bool | None
    """None while it is not known."""
    fired: bool
    """It has become true, and its interval has passed since it fired the last time."""


class _Newest(NamedTuple):
    time_ns: int
    message: Any
    valid: bool


class _Moment:
    """What all parts of one evaluator look at."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.start_ns: int | None = None
        self.came: str | None = None
        """Topic of the message that is looked at; None when only time has passed."""
        self.newest: dict[str, _Newest] = {}


class Evaluator:
    """The state of one condition. ConditionError when it does not fit `types` (topic -> message type).

    It fires when it becomes true; when it has been true before, only after it has been known to be false meanwhile.
    Time never goes back: a message that is older than the newest is taken as if it had come with that.
    """

    def __init__(self, condition: Condition, types: Types) -> None:
        check_condition(condition, types)
        self.condition = condition
        self.topics = condition.topics
        self.suppressed = 0
        """How often it became true within its interval, and did not fire for that."""
        self._moment = _Moment()
        self._read = _compile(condition.root, self._moment)
        self._armed = True
        self._fired_ns: int | None = None

    def update(self, topic: str, time_ns: int, message: Any, *, valid: bool = True) -> Outcome:
        """Take one message; topics that the condition does not read only let time pass.

        time_ns: when it was sent, on the monotonic clock. valid: what its sender said of it.
        """
        moment = self._moment
        before = self.tick(time_ns)
        if topic not in self.topics:
            return before
        moment.newest[topic] = _Newest(moment.now_ns, message, valid)
        moment.came = topic
        after = self._judge()
        moment.came = None
        return Outcome(after.holds, before.fired or after.fired)

    def tick(self, now_ns: int) -> Outcome:
        """Let time pass: `for`, `stale` and the age of values need no message to change."""
        moment = self._moment
        if moment.start_ns is None:
            moment.start_ns = moment.now_ns = now_ns
        moment.now_ns = max(moment.now_ns, now_ns)
        return self._judge()

    def _judge(self) -> Outcome:
        holds = self._read()
        if holds is None:
            return Outcome(None, False)
        if not holds:
            self._armed = True
            return Outcome(False, False)
        if not self._armed:
            return Outcome(True, False)
        self._armed = False
        now_ns = self._moment.now_ns
        if self._fired_ns is not None and now_ns - self._fired_ns < self.condition.interval_ns:
            self.suppressed += 1
            return Outcome(True, False)
        self._fired_ns = now_ns
        return Outcome(True, True)


def _compile(tree: Tree, moment: _Moment) -> Read:
    """What reads the value of a tree; what remembers something is read at every look, so nothing is skipped."""
    return _COMPILERS[type(tree)](tree, moment)


def _literal(tree: Literal, moment: _Moment) -> Read:
    return lambda: tree.value


def _field(tree: Field, moment: _Moment) -> Read:
    newest, topic, path, age_ns = moment.newest, tree.topic, tree.path, tree.age_ns

    def read() -> Value:
        item = newest.get(topic)
        if item is None or not item.valid or moment.now_ns - item.time_ns > age_ns:
            return None
        return plain_or_none(_reach(item.message, path))

    return read


def _reach(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at the end of a path; None where a list is shorter, or a part is not there."""
    for step in path:
        if value is None:
            return None
        if isinstance(step, str):
            value = getattr(value, step, None)
        else:
            value = value[step] if step < len(value) else None
    return value


def _length(tree: Length, moment: _Moment) -> Read:
    field, newest = tree.item, moment.newest

    def read() -> Value:
        item = newest.get(field.topic)
        if item is None or not item.valid or moment.now_ns - item.time_ns > field.age_ns:
            return None
        value = _reach(item.message, field.path)
        return None if value is None else len(value)

    return read


def _topic_state(tree: TopicState, moment: _Moment) -> Read:
    newest, topic, age_ns = moment.newest, tree.topic, tree.age_ns

    def stale() -> Value:
        item = newest.get(topic)
        since_ns = moment.start_ns if item is None else item.time_ns
        return since_ns is not None and moment.now_ns - since_ns > age_ns

    if tree.state == "missing":
        return lambda: topic not in newest
    if tree.state == "invalid":
        return lambda: topic in newest and not newest[topic].valid
    return stale


def _unary(tree: Unary, moment: _Moment) -> Read:
    read = _compile(tree.item, moment)
    change = operator.neg if tree.operator == "-" else abs

    def changed() -> Value:
        value = read()
        return None if value is None else change(value)

    return changed


def _two(tree: Arithmetic | Compare, moment: _Moment) -> Read:
    left, right = _compile(tree.left, moment), _compile(tree.right, moment)
    combine = OPERATORS[tree.operator]
    is_number = isinstance(tree, Arithmetic)

    def combined() -> Value:
        a, b = left(), right()
        if a is None or b is None:
            return None
        return _number(combine, a, b) if is_number else combine(a, b)

    return combined


def _number(combine: Callable[[Any, Any], Any], a: Any, b: Any) -> Value:
    """A result that is a finite float, or None."""
    try:
        value = float(combine(float(a), float(b)))
    except (ZeroDivisionError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _not(tree: Not, moment: _Moment) -> Read:
    read = _compile(tree.item, moment)

    def opposite() -> Value:
        value = read()
        return None if value is None else not value

    return opposite


def _every(tree: Every, moment: _Moment) -> Read:
    reads = [_compile(item, moment) for item in tree.items]

    def all_of() -> Value:
        values = [read() for read in reads]
        return False if False in values else None if None in values else True

    return all_of


def _some(tree: Some, moment: _Moment) -> Read:
    reads = [_compile(item, moment) for item in tree.items]

    def any_of() -> Value:
        values = [read() for read in reads]
        return True if True in values else None if None in values else False

    return any_of


def _window(tree: Window, moment: _Moment) -> Read:
    read, topics, window = _compile(tree.item, moment), topics_of(tree.item), SlidingWindow(tree.span_ns)
    if tree.function == "count":
        return _counting(read, topics, window, moment)

    def aggregated() -> Value:
        value = read()
        if value is not None and moment.came in topics:
            window.add(moment.now_ns, float(value))
        found = window.aggregate(moment.now_ns)
        if tree.function == "sum":
            return found.total if math.isfinite(found.total) else None
        if found == NOTHING:
            return None
        if tree.function == "avg":
            return found.total / found.number if math.isfinite(found.total) else None
        return found.least if tree.function == "min" else found.most

    return aggregated


def _counting(read: Read, topics: frozenset[str], window: SlidingWindow, moment: _Moment) -> Read:
    def counted() -> Value:
        if read() and moment.came in topics:
            window.add(moment.now_ns, 1.0)
        return window.aggregate(moment.now_ns).number

    return counted


def _messages(tree: Messages, moment: _Moment) -> Read:
    return _counting(lambda: True, frozenset([tree.topic]), SlidingWindow(tree.span_ns), moment)


def _rising(tree: Rising, moment: _Moment) -> Read:
    read = _compile(tree.item, moment)
    known: bool | None = None

    def edge() -> Value:
        nonlocal known
        value, before = read(), known
        if value is None:
            return None
        known = value
        return value and before is False

    return edge


def _lasting(tree: Lasting, moment: _Moment) -> Read:
    read = _compile(tree.item, moment)
    since_ns: int | None = None

    def lasted() -> Value:
        nonlocal since_ns
        value = read()
        if not value:
            since_ns = None
            return value
        since_ns = moment.now_ns if since_ns is None else since_ns
        return moment.now_ns - since_ns >= tree.span_ns

    return lasted


def _until(tree: Until, moment: _Moment) -> Read:
    begin, end = _compile(tree.begin, moment), _compile(tree.end, moment)
    on = False

    def latched() -> Value:
        nonlocal on
        begins, ends = begin(), end()
        if ends:
            on = False
        elif begins:
            on = True
        return None if begins is None and ends is None else on

    return latched


_COMPILERS: dict[type[Tree], Callable[[Any, _Moment], Read]] = {
    Literal: _literal,
    Field: _field,
    Length: _length,
    TopicState: _topic_state,
    Unary: _unary,
    Arithmetic: _two,
    Compare: _two,
    Not: _not,
    Every: _every,
    Some: _some,
    Window: _window,
    Messages: _messages,
    Rising: _rising,
    Lasting: _lasting,
    Until: _until,
}
