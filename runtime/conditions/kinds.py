"""Check a condition against the message types of its topics: every field is there, every operator fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from typing import Literal as Choice

import msgspec

from cardan.runtime.conditions.errors import ConditionError
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
)
from cardan.runtime.errors import near_names
from cardan.runtime.messages import Message

NUMBER, YES_NO, TEXT = "a number", "yes or no", "a text"

Types = Mapping[str, type[Message]]
"""Topic -> type of its messages."""


def check_condition(condition: Condition, types: Types) -> None:
    """ConditionError for the first place that does not fit the messages; needs the types of `condition.topics`."""
    for topic in sorted(condition.topics - set(types)):
        at = condition.text.find(topic)
        raise ConditionError(f'no node publishes "{topic}"', near_names(topic, list(types)), max(0, at))
    _want(condition.root, YES_NO, types)


def _want(tree: Tree, wanted: str, types: Types) -> None:
    found = _kind(tree, types)
    if found != wanted:
        hint = f"expected {wanted}" + (", such as a comparison" if wanted == YES_NO else "")
        raise ConditionError(f"this is {found}", hint, tree.at)


def _kind(tree: Tree, types: Types) -> str:
    """Kind of the value of a tree, everything below it checked."""
    if isinstance(tree, Literal):
        return YES_NO if isinstance(tree.value, bool) else TEXT if isinstance(tree.value, str) else NUMBER
    if isinstance(tree, Field):
        return _kind_of_field(tree, _hint_of(tree, types))
    if isinstance(tree, Compare):
        return _compare(tree, types)
    wanted, kind = _SHAPES[type(tree)]
    if isinstance(tree, Window):
        wanted = YES_NO if tree.function == "count" else NUMBER
    elif isinstance(tree, Length):
        _want_items(tree.item, types)
        return kind
    for part in tree.parts():
        _want(part, wanted, types)
    return kind


_SHAPES: dict[type[Tree], tuple[str, str]] = {
    Length: ("", NUMBER),
    TopicState: ("", YES_NO),
    Messages: ("", NUMBER),
    Unary: (NUMBER, NUMBER),
    Arithmetic: (NUMBER, NUMBER),
    Window: ("", NUMBER),
    Not: (YES_NO, YES_NO),
    Every: (YES_NO, YES_NO),
    Some: (YES_NO, YES_NO),
    Rising: (YES_NO, YES_NO),
    Lasting: (YES_NO, YES_NO),
    Until: (YES_NO, YES_NO),
}
"""What a tree takes, and what it is."""


def _compare(tree: Compare, types: Types) -> str:
    left, right = _kind(tree.left, types), _kind(tree.right, types)
    if left != right:
        raise ConditionError(f"{left} is compared with {right}", "compare two of the same kind", tree.at)
    if left != NUMBER and tree.operator not in ("==", "!="):
        raise ConditionError(f"{left} has no order", "use == or !=", tree.at)
    for one, other in ((tree.left, tree.right), (tree.right, tree.left)):
        if isinstance(one, Field) and isinstance(other, Literal) and isinstance(other.value, str):
            _check_choice(other, _hint_of(one, types))
    return YES_NO


def _check_choice(literal: Literal, hint: Any) -> None:
    """A text that the field can never have is a mistake."""
    choices = [str(item) for item in get_args(hint)] if get_origin(hint) is Choice else []
    if choices and literal.value not in choices:
        raise ConditionError(
            f'the field is never "{literal.value}"', near_names(str(literal.value), choices), literal.at
        )


def _want_items(field: Field, types: Types) -> None:
    hint = _hint_of(field, types)
    if hint not in (str, bytes, list, tuple) and get_origin(hint) not in (list, tuple):
        raise ConditionError("this field has no length", "expected a list or a text", field.at)


def _kind_of_field(field: Field, hint: Any) -> str:
    if hint is bool:
        return YES_NO
    if hint in (int, float):
        return NUMBER
    if hint is str or (get_origin(hint) is Choice and all(isinstance(item, str) for item in get_args(hint))):
        return TEXT
    name = getattr(hint, "__name__", str(hint))
    inner = _fields_of(hint)
    remedy = (
        f"name one of its fields: {', '.join(list(inner)[:5])}" if inner else "expected a number, yes or no, a text"
    )
    raise ConditionError(f"this field is a {name}, which has no value to compare", remedy, field.at)


def _hint_of(field: Field, types: Types) -> Any:
    """The type of a field, without None and annotations."""
    hint: Any = types[field.topic]
    for step in field.path:
        hint = _inner(hint, step, field)
    return hint


def _inner(hint: Any, step: str | int, field: Field) -> Any:
    name = getattr(hint, "__name__", str(hint))
    if isinstance(step, int):
        return _bare(_item(hint, step, name, field))
    inner = _fields_of(hint)
    if not inner:
        raise ConditionError(f'a {name} has no field "{step}"', "remove that part", field.at)
    if step not in inner:
        raise ConditionError(f'{name} has no field "{step}"', near_names(step, list(inner)), field.at)
    return _bare(inner[step])


def _item(hint: Any, index: int, name: str, field: Field) -> Any:
    arguments = get_args(hint)
    if get_origin(hint) is list:
        return arguments[0]
    if get_origin(hint) is tuple and arguments[-1:] == (Ellipsis,):
        return arguments[0]
    if get_origin(hint) is not tuple:
        raise ConditionError(f"a {name} has no items", f"remove [{index}]", field.at)
    if index >= len(arguments):
        raise ConditionError(f"there is no item [{index}]", f"use [0] to [{len(arguments) - 1}]", field.at)
    return arguments[index]


def _fields_of(hint: Any) -> dict[str, Any]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint, include_extras=True)
        return {name: hints[name] for name in hint.__struct_fields__}
    return {}


def _bare(hint: Any) -> Any:
    """Without Annotated and without None: a value that is not there is unknown."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        others = [item for item in get_args(hint) if item is not type(None)]
        if len(others) == 1:
            return _bare(others[0])
        if set(others) == {int, float}:
            return float
    return hint


def plain_or_none(value: Any) -> float | int | str | bool | None:
    """A value as conditions know it; None for one that is not there or no finite number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (bool, int, str)) else None
