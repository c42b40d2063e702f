"""Every key of a table of settings, read from the struct that checks it: type, bounds, default and meaning.

What a person is told about a manifest, a profile or a node (`cardan node type`, docs/manifest.md) is what the code
accepts, word for word: the meaning of a key is the docstring under its field.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_type_hints

import msgspec
from msgspec import inspect as shapes


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key."""

    name: str
    type: str
    """In words, with its bounds: `whole number, 1 to 99`."""
    default: str | None
    """As TOML writes it; empty when nothing stands for itself, None when the key must be written."""
    meaning: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table and its keys."""

    title: str
    """`[nodes.NAME]`, `[[privacy.zones]]`; empty for the keys at the top."""
    about: str
    keys: list[Key]


def tables_of(struct: type[msgspec.Struct], path: tuple[str, ...] = (), *, many: bool = False) -> list[Table]:
    """The table of `struct`, and behind it those of the structs that it holds.

    path: where it stands in the file. many: it is one of an array of tables.
    """
    meanings, defaults = _meanings(struct), _defaults(struct)
    hints = get_type_hints(struct, include_extras=True)
    keys = [
        Key(
            name=field.encode_name,
            type=type_text(field.type),
            default=None if field.required else defaults[field.encode_name],
            meaning=meanings.get(field.name, ""),
        )
        for field in _fields(struct)
        if field.name in hints
    ]
    name = ".".join(path)
    title = f"[[{name}]]" if many else f"[{name}]" if name else ""
    found = [Table(title=title, about=_sentence(inspect.getdoc(struct) or ""), keys=keys)]
    for field in _fields(struct):
        for below, step, each in _structs_in(field.type):
            found += tables_of(below, (*path, field.encode_name, *step), many=each)
    return found


def type_text(kind: shapes.Type) -> str:
    """A type in words."""
    match kind:
        case shapes.AnyType():
            return "anything"
        case shapes.BoolType():
            return "true or false"
        case shapes.IntType():
            return f"whole number{_bounds(kind)}"
        case shapes.FloatType():
            return f"number{_bounds(kind)}"
        case shapes.StrType():
            return "text" + (f" like `{kind.pattern}`" if kind.pattern else "")
        case shapes.LiteralType():
            return " or ".join(_toml(value) for value in kind.values)
        case shapes.EnumType():
            return " or ".join(_toml(value.value) for value in kind.cls)
        case shapes.ListType() | shapes.SetType() | shapes.VarTupleType():
            return f"list of: {type_text(kind.item_type)}"
        case shapes.TupleType():
            return f"[{', '.join(type_text(item) for item in kind.item_types)}]"
        case shapes.DictType():
            return f"table of: {type_text(kind.value_type)}"
        case shapes.StructType():
            return "table"
        case shapes.UnionType():
            return " or ".join(dict.fromkeys(type_text(item) for item in kind.types if not _is_none(item)))
        case _:
            return "text"


def _fields(struct: type[msgspec.Struct]) -> tuple[shapes.Field, ...]:
    described = shapes.type_info(struct)
    return described.fields if isinstance(described, shapes.StructType) else ()


def _is_none(kind: shapes.Type) -> bool:
    return isinstance(kind, shapes.NoneType)


def _bounds(kind: shapes.IntType | shapes.FloatType) -> str:
    low = _toml(kind.ge) if kind.ge is not None else None
    high = _toml(kind.le) if kind.le is not None else None
    if kind.gt is not None:
        return f" above {_toml(kind.gt)}" + (f", at most {high}" if high else "")
    if low and high:
        return f", {low} to {high}"
    return f", at least {low}" if low else f", at most {high}" if high else ""


def _structs_in(kind: shapes.Type) -> Iterator[tuple[type[msgspec.Struct], tuple[str, ...], bool]]:
    """Each struct that a field holds, what stands between its name and the field's, and whether it is one of many."""
    match kind:
        case shapes.StructType():
            yield kind.cls, (), False
        case shapes.DictType(value_type=shapes.StructType() as value):
            yield value.cls, ("NAME",), False
        case shapes.ListType(item_type=shapes.StructType() as item):
            yield item.cls, (), True
        case shapes.UnionType():
            for part in kind.types:
                yield from _structs_in(part)


def _defaults(struct: type[msgspec.Struct]) -> dict[str, str]:
    found = {}
    for field in msgspec.structs.fields(struct):
        value = field.default
        if value is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            value = field.default_factory()
        found[field.encode_name] = _toml(value)
    return found


def _toml(value: Any) -> str:
    """A value as TOML writes it; empty for None, and for what holds nothing of its own."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case int() | float():
            return f"{value:_}" if isinstance(value, int) and abs(value) >= 100_000 else f"{value:g}"
        case list() | tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case dict() if value and not any(isinstance(item, msgspec.Struct) for item in value.values()):
            return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
        case _:
            return ""


def _meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> the docstring under it, of the class and of those that it inherits from."""
    found: dict[str, str] = {}
    for owner in reversed(struct.__mro__):
        if issubclass(owner, msgspec.Struct) and owner is not msgspec.Struct:
            found |= _docstrings(owner)
    return found


def _docstrings(owner: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    found = {}
    for first, second in pairwise(body):
        if not isinstance(first, ast.AnnAssign) or not isinstance(first.target, ast.Name):
            continue
        if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant):
            found[first.target.id] = _sentence(str(second.value.value)).replace("None: ", "left out: ")
    return found


def _sentence(text: str) -> str:
    """The first paragraph on one line."""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())
