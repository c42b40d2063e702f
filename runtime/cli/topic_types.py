"""The fields of a message type, as a person reads them."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import msgspec

from cardan.runtime.errors import NodeError

DEEPEST = 4


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field."""

    name: str
    """`frames[].id` for the field `id` of the structs in the list `frames`."""
    type: str


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a message type carries."""

    fields: list[Field]
    schema_id: str
    """8 hex digits; empty when the type cannot be loaded here."""
    problem: str = ""
    """Why it cannot."""


def shape_of(type_name: str, folders: list[str]) -> Shape:
    """The shape of `module:Class`. folders: where its node's modules lie. Imports the module that has it."""
    from cardan.runtime.messages import schema_id
    from cardan.runtime.registry import load_message_type

    try:
        message_type = load_message_type(type_name, folders)
    except NodeError as error:
        return Shape(fields=[], schema_id="", problem=error.message)
    return Shape(fields=fields_of(message_type), schema_id=f"{schema_id(message_type):08x}")


def fields_of(struct: type[msgspec.Struct], prefix: str = "", depth: int = 0) -> list[Field]:
    """Every field, those of nested structs behind the field that holds them."""
    hints = get_type_hints(struct)
    found = []
    for name in struct.__struct_fields__:
        found.append(Field(name=f"{prefix}{name}", type=type_text(hints[name])))
        nested = _struct_in(hints[name])
        if nested is not None and depth < DEEPEST:
            inner, many = nested
            found += fields_of(inner, f"{prefix}{name}{'[]' if many else ''}.", depth + 1)
    return found


def type_text(hint: Any) -> str:
    """`list[CanFrame]`, `tuple[float, float]`, `str | None`."""
    arguments = [type_text(argument) for argument in get_args(hint)]
    if hint is type(None):
        return "None"
    if hint is Ellipsis:
        return "..."
    if not arguments:
        return str(getattr(hint, "__name__", hint))
    origin = getattr(hint, "__origin__", None)
    name = getattr(origin, "__name__", "")
    return f"{name}[{', '.join(arguments)}]" if name not in ("", "Union") else " | ".join(arguments)


def _struct_in(hint: Any) -> tuple[type[msgspec.Struct], bool] | None:
    """The struct in a field, and whether the field holds many of them."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint, False
    for argument in get_args(hint):
        if isinstance(argument, type) and issubclass(argument, msgspec.Struct):
            return argument, True
    return None
