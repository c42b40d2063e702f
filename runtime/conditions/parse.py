"""From the text of a condition to its tree: one method for each level of the grammar (docs/conditions.md)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from cardan.runtime.clock import ns
from cardan.runtime.conditions.errors import ConditionError
from cardan.runtime.conditions.tokens import Token, tokens_of
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
    walk,
)
from cardan.runtime.errors import near_names

LONGEST_TEXT = 2000
DEEPEST = 32
MOST_PARTS = 200
MOST_WINDOWS = 16
LONGEST_S = 3600.0
"""Bounds of what one condition may cost; it may come from outside."""

VALUE_AGE_S = 1.0
"""How long the value of a field counts when no newer one comes, unless `last` says otherwise."""

UNITS_S = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
WINDOWS = ("min", "max", "avg", "sum", "count")
STATES = ("missing", "invalid", "stale")
FUNCTIONS = (*WINDOWS, *STATES, "rising", "last", "len", "abs")
KEYWORDS = ("and", "or", "not", "for", "until", "every", "true", "false")
_PATH = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")


def condition_of(text: str) -> Condition:
    """Read a condition; ConditionError says at which column what was expected. Its fields are not looked up here."""
    if len(text) > LONGEST_TEXT:
        raise ConditionError(f"the condition has {len(text)} characters", f"use at most {LONGEST_TEXT}", 0)
    condition = _Parser(text).condition()
    parts = list(walk(condition.root))
    if len(parts) > MOST_PARTS:
        raise ConditionError(f"the condition has {len(parts)} parts", f"use at most {MOST_PARTS}", 0)
    windows = sum(isinstance(part, (Window, Messages)) for part in parts)
    if windows > MOST_WINDOWS:
        raise ConditionError(f"the condition has {windows} windows", f"use at most {MOST_WINDOWS}", 0)
    if not condition.topics:
        raise ConditionError("the condition reads no topic", "name a field, such as state/vehicle.speed_mps", 0)
    return condition


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._next = 0
        self._depth = 0
        self._bracketed: set[int] = set()

    def condition(self) -> Condition:
        """All of it: what is true, and how often it may fire."""
        root = self._statement()
        interval_ns = self._duration() if self._take("every") else 0
        if self._here.kind != "end":
            raise self._unexpected("the end, or `and`, `or`, `for`, `until`, `every`")
        return Condition(text=self._text, root=root, interval_ns=interval_ns)

    def _statement(self) -> Tree:
        """`a for 2 s until b`."""
        tree = self._some()
        at = self._here.at
        if self._take("for"):
            self._plain(tree, at)
            tree = Lasting(item=tree, span_ns=self._duration(), at=at)
        at = self._here.at
        if self._take("until"):
            self._plain(tree, at)
            end = self._some()
            self._plain(end, at)
            tree = Until(begin=tree, end=end, at=at)
        if self._here.text in ("for", "until"):
            raise self._ambiguous(self._here.at)
        return tree

    def _plain(self, tree: Tree, at: int) -> None:
        if isinstance(tree, (Every, Some, Not)) and id(tree) not in self._bracketed:
            raise self._ambiguous(at)

    def _ambiguous(self, at: int) -> ConditionError:
        word = self._text[at:].split(maxsplit=1)[0]
        what = f"it is not clear what `{word}` speaks of"
        return ConditionError(what, f"put brackets around it: (...) {word} ...", at)

    def _some(self) -> Tree:
        at, items = self._here.at, [self._every()]
        while self._take("or"):
            items.append(self._every())
        return items[0] if len(items) == 1 else Some(items=tuple(items), at=at)

    def _every(self) -> Tree:
        at, items = self._here.at, [self._negation()]
        while self._take("and"):
            items.append(self._negation())
        return items[0] if len(items) == 1 else Every(items=tuple(items), at=at)

    def _negation(self) -> Tree:
        at = self._here.at
        if self._take("not"):
            return self._deeper(lambda: Not(item=self._negation(), at=at))
        return self._comparison()

    def _comparison(self) -> Tree:
        left = self._sum()
        if self._here.text not in COMPARISONS or self._here.kind != "sign":
            return left
        operator = self._advance()
        right = self._sum()
        if self._here.kind == "sign" and self._here.text in COMPARISONS:
            hint = "compare two things at a time: a < b and b < c"
            raise ConditionError(f"`{self._here.text}` follows a comparison", hint, self._here.at)
        return Compare(operator=operator.text, left=left, right=right, at=operator.at)

    def _sum(self) -> Tree:
        tree = self._product()
        while self._here.kind == "sign" and self._here.text in ("+", "-"):
            operator = self._advance()
            tree = Arithmetic(operator=operator.text, left=tree, right=self._product(), at=operator.at)
        return tree

    def _product(self) -> Tree:
        tree = self._factor()
        while self._here.kind == "sign" and self._here.text in ("*", "/"):
            operator = self._advance()
            tree = Arithmetic(operator=operator.text, left=tree, right=self._factor(), at=operator.at)
        return tree

    def _factor(self) -> Tree:
        at = self._here.at
        if self._here.kind == "sign" and self._take("-"):
            return self._deeper(lambda: Unary(operator="-", item=self._factor(), at=at))
        return self._primary()

    def _primary(self) -> Tree:
        token = self._here
        if token.kind == "topic":
            return self._field()
        if token.kind == "number":
            return Literal(value=self._number(), at=token.at)
        if token.kind == "text":
            return Literal(value=self._advance().text[1:-1], at=token.at)
        if self._take("true") or self._take("false"):
            return Literal(value=token.text == "true", at=token.at)
        if token.text == "(":
            return self._brackets()
        if token.kind == "name" and token.text not in KEYWORDS:
            return self._call()
        raise self._unexpected("a field, a number, a text or a function")

    def _brackets(self) -> Tree:
        self._advance()
        tree = self._deeper(self._statement)
        self._expect(")")
        self._bracketed.add(id(tree))
        return tree

    def _call(self) -> Tree:
        name = self._advance()
        if name.text not in FUNCTIONS:
            what = f'there is no function "{name.text}"'
            hint = near_names(name.text, list(FUNCTIONS))
            raise ConditionError(what, f"{hint} (a field is written node/output.field)", name.at)
        self._expect("(")
        tree = self._deeper(lambda: self._arguments(name))
        self._expect(")")
        return tree

    def _arguments(self, name: Token) -> Tree:
        if name.text in STATES:
            topic = self._topic()
            age_ns = self._after_comma() if name.text == "stale" else 0
            return TopicState(state=name.text, topic=topic, age_ns=age_ns, at=name.at)
        if name.text == "count" and self._is_topic():
            return Messages(topic=self._topic(), span_ns=self._after_comma(), at=name.at)
        if name.text in WINDOWS:
            item = self._statement()
            return Window(function=name.text, item=item, span_ns=self._after_comma(), at=name.at)
        if name.text == "last":
            field = self._field()
            return Field(topic=field.topic, path=field.path, age_ns=self._after_comma(), at=field.at)
        if name.text == "len":
            return Length(item=self._field(), at=name.at)
        if name.text == "abs":
            return Unary(operator="abs", item=self._sum(), at=name.at)
        return Rising(item=self._statement(), at=name.at)

    def _field(self) -> Field:
        token = self._here
        if token.kind != "topic":
            raise self._unexpected("a field: node/output.field")
        topic, path = _split(token.text)
        if not path:
            what = f'"{topic}" is a topic, not a field'
            raise ConditionError(what, f"name one of its fields: {topic}.FIELD", token.at)
        self._advance()
        return Field(topic=topic, path=path, age_ns=ns(VALUE_AGE_S), at=token.at)

    def _is_topic(self) -> bool:
        return self._here.kind == "topic" and not _split(self._here.text)[1]

    def _topic(self) -> str:
        if not self._is_topic():
            raise self._unexpected("a topic without a field: node/output")
        return self._advance().text

    def _after_comma(self) -> int:
        self._expect(",")
        return self._duration()

    def _number(self) -> float | int:
        token = self._advance()
        plain = token.text.startswith("0x") or token.text.isdecimal()
        value = int(token.text, 0 if token.text.startswith("0x") else 10) if plain else float(token.text)
        if not (abs(value) < 1 << 64 if plain else math.isfinite(value)):
            raise ConditionError(
                f"{token.text} is out of range", "use a number below 1.8e308 (whole: 64 bits)", token.at
            )
        return value

    def _duration(self) -> int:
        at = self._here.at
        if self._here.kind != "number":
            raise self._unexpected("a duration, such as 500 ms, 2 s or 1 min")
        value = float(self._number())
        if self._here.text not in UNITS_S:
            raise self._unexpected(f"a unit: {', '.join(UNITS_S)}")
        seconds = value * UNITS_S[self._advance().text]
        if not 0 < seconds <= LONGEST_S or ns(seconds) < 1:
            raise ConditionError(f"a duration of {seconds:g} s", f"use more than 0 and at most {LONGEST_S:g} s", at)
        return ns(seconds)

    def _deeper(self, read: Callable[[], Tree]) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConditionError("the condition is nested too deep", f"use at most {DEEPEST} levels", self._here.at)
        tree = read()
        self._depth -= 1
        return tree

    @property
    def _here(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> Token:
        token = self._here
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _take(self, text: str) -> bool:
        if self._here.text != text or self._here.kind not in ("name", "sign"):
            return False
        self._advance()
        return True

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected(f"`{sign}`")

    def _unexpected(self, expected: str) -> ConditionError:
        token = self._here
        what = "the condition ends too early" if token.kind == "end" else f"`{token.text}` does not belong here"
        return ConditionError(what, f"expected {expected}", token.at)


def _split(text: str) -> tuple[str, tuple[str | int, ...]]:
    """`node/output.a[1].b` as topic and path."""
    match = re.match(r"[^.\[]+", text)
    topic = match.group() if match else text
    path = tuple(name or int(index) for name, index in _PATH.findall(text[len(topic) :]))
    return topic, path
