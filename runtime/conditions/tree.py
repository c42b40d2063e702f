"""The tree of a condition: one frozen type for each thing that can be said.

Durations are nanoseconds. `at` is the place in the text, from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the tree."""

    at: int = 0

    def parts(self) -> Iterator[Tree]:
        """The trees directly below this one."""
        for name in self.__struct_fields__:
            value: Any = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Tree):
                    yield item


class Literal(Tree, frozen=True, kw_only=True):
    """A number, a text, true or false."""

    value: float | int | str | bool


class Field(Tree, frozen=True, kw_only=True):
    """A field of the newest message of a topic, while that is no older than `age_ns`."""

    topic: str
    path: tuple[str | int, ...]
    age_ns: int


class Length(Tree, frozen=True, kw_only=True):
    """How many items a field holds."""

    item: Field


class TopicState(Tree, frozen=True, kw_only=True):
    """Nothing has come (missing), the newest is not valid (invalid), or it is older than `age_ns` (stale)."""

    state: str
    topic: str
    age_ns: int = 0


class Unary(Tree, frozen=True, kw_only=True):
    """`-x` or abs(x)."""

    operator: str
    item: Tree


class Arithmetic(Tree, frozen=True, kw_only=True):
    """`+ - * /` of two numbers."""

    operator: str
    left: Tree
    right: Tree


class Compare(Tree, frozen=True, kw_only=True):
    """`== != < <= > >=`."""

    operator: str
    left: Tree
    right: Tree


class Not(Tree, frozen=True, kw_only=True):
    item: Tree


class Every(Tree, frozen=True, kw_only=True):
    """`a and b and ...`."""

    items: tuple[Tree, ...]


class Some(Tree, frozen=True, kw_only=True):
    """`a or b or ...`."""

    items: tuple[Tree, ...]


class Window(Tree, frozen=True, kw_only=True):
    """min, max, avg, sum or count over the messages of the last `span_ns`."""

    function: str
    item: Tree
    span_ns: int


class Messages(Tree, frozen=True, kw_only=True):
    """How many messages of a topic came in the last `span_ns`, valid or not."""

    topic: str
    span_ns: int


class Rising(Tree, frozen=True, kw_only=True):
    """True at the moment at which `item` becomes true."""

    item: Tree


class Lasting(Tree, frozen=True, kw_only=True):
    """`item for 2 s`: true while it has been true for so long without a break."""

    item: Tree
    span_ns: int


class Until(Tree, frozen=True, kw_only=True):
    """`begin until end`: becomes true with one, and stays so until the other is true."""

    begin: Tree
    end: Tree


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, read."""

    text: str
    root: Tree
    interval_ns: int = 0
    """It fires again no sooner than so long after it has fired."""

    @property
    def topics(self) -> frozenset[str]:
        """Every topic that it reads."""
        return topics_of(self.root)


def topics_of(tree: Tree) -> frozenset[str]:
    """Every topic below and at `tree`."""
    return frozenset(item.topic for item in walk(tree) if isinstance(item, (Field, TopicState, Messages)))


def walk(tree: Tree) -> Iterator[Tree]:
    """`tree` and everything below it, from above."""
    yield tree
    for part in tree.parts():
        yield from walk(part)
