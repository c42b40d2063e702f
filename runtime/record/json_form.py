"""How messages look in JSON: the recorded form of a message type, and its JSON Schema.

MCAP viewers read a subset of JSON Schema (Lichtblick's and Foxglove's reader: the root is an object, references and
tuples of mixed types are refused, base64 only outside arrays). So structs that travel as arrays are written as
objects, references are resolved, and what the subset cannot say is left out of the schema, never out of the message.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

import msgspec
import numpy as np

ENVELOPE_FIELD = "_envelope"
"""Name of the field that every recorded message has beside its own."""

ENVELOPE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What travelled with the message: capture time (monotonic), validity, and the publisher's start.",
    "properties": {"origin_ns": {"type": "integer"}, "valid": {"type": "boolean"}, "epoch": {"type": "integer"}},
}

ARRAY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A numpy array: C order, base64.",
    "properties": {
        "dtype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "data": {"type": "string", "contentEncoding": "base64"},
    },
}


class Form(Protocol):
    """How the messages of one type are written."""

    schema_name: str
    schema: bytes

    def encode(self, value: Any, origin_ns: int) -> bytes:
        """One message as a JSON object, without its envelope. TypeError where JSON has no word for a field."""


class PlainForm:
    """The form of a message without pictures: an object with the message's fields."""

    def __init__(self, message_type: type[msgspec.Struct]) -> None:
        self.schema_name = message_type.__name__
        self.schema = msgspec.json.encode(schema_of(message_type))
        self._type = recorded_type(message_type)
        self._as_is = self._type is message_type
        self._encoder = msgspec.json.Encoder(enc_hook=_array_form)

    def encode(self, value: Any, origin_ns: int) -> bytes:
        if not self._as_is:
            value = msgspec.convert(value, self._type, from_attributes=True)
        return self._encoder.encode(value)


def with_envelope(body: bytes, origin_ns: int, valid: bool, epoch: int) -> bytes:
    """`body` (a JSON object) with the envelope as its last field."""
    start = body[:-1] + b"," if len(body) > 2 else b"{"
    flag = "true" if valid else "false"
    return start + f'"{ENVELOPE_FIELD}":{{"origin_ns":{origin_ns},"valid":{flag},"epoch":{epoch}}}}}'.encode()


def schema_of(message_type: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema of the recorded form of `message_type`, envelope included, in the subset that viewers read."""
    recorded = recorded_type(message_type)
    (root,), definitions = msgspec.json.schema_components([recorded], schema_hook=_array_schema)
    schema = _simple(root, definitions, ()) or {"type": "object", "properties": {}}
    schema["properties"][ENVELOPE_FIELD] = ENVELOPE_SCHEMA
    return schema


def recorded_type(message_type: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """`message_type`, or its twin in which every struct is written as an object with field names."""
    return _twin(message_type, {}) if _has_array_struct(message_type, ()) else message_type


def _twin(struct_type: type[msgspec.Struct], twins: dict[Any, Any]) -> type[msgspec.Struct]:
    fields = msgspec.structs.fields(struct_type)
    config = struct_type.__struct_config__
    twins[struct_type] = struct_type  # a struct inside itself stays as it is
    twin = msgspec.defstruct(
        struct_type.__name__,
        [(field.name, _twin_hint(field.type, twins)) for field in fields],
        namespace={"__doc__": struct_type.__doc__},
        rename={field.name: field.encode_name for field in fields},
        tag=config.tag,
        tag_field=config.tag_field,
        frozen=True,
        kw_only=True,
    )
    twins[struct_type] = twin
    return twin


def _twin_hint(hint: Any, twins: dict[Any, Any]) -> Any:
    """`hint` with twins in place of structs that are, or hold, arrays."""
    if not _has_array_struct(hint, ()):
        return hint
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return twins.get(hint) or _twin(hint, twins)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _twin_hint(arguments[0], twins)
    parts = tuple(_twin_hint(item, twins) for item in arguments)
    return reduce(or_, parts) if origin in (Union, UnionType) else origin[parts]


def _has_array_struct(hint: Any, seen: tuple[Any, ...]) -> bool:
    if hint in seen:
        return False
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        inner = [field.type for field in msgspec.structs.fields(hint)]
        return hint.__struct_config__.array_like or any(_has_array_struct(item, (*seen, hint)) for item in inner)
    return any(_has_array_struct(item, seen) for item in get_args(hint))


def _simple(schema: dict[str, Any], definitions: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    """`schema` in the subset of viewers; None where the subset has no word for it."""
    reference = schema.get("$ref")
    if reference is not None:
        name = reference.rsplit("/", 1)[-1]
        return None if name in path else _simple(definitions[name], definitions, (*path, name))
    if "anyOf" in schema:
        choices = [item for item in schema["anyOf"] if item.get("type") != "null"]
        return _simple(choices[0], definitions, path) if len(choices) == 1 else None
    kind = schema.get("type") or _type_of_choices(schema.get("enum", []))
    if kind == "object":
        return _simple_object(schema, definitions, path)
    if kind == "array":
        return _simple_array(schema, definitions, path)
    if kind not in ("boolean", "string", "number", "integer"):
        return None
    return {"type": kind, **{key: schema[key] for key in ("contentEncoding", "description", "enum") if key in schema}}


def _simple_object(schema: dict[str, Any], definitions: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    candidates = {name: _simple(item, definitions, path) for name, item in schema.get("properties", {}).items()}
    properties = {name: item for name, item in candidates.items() if item is not None}
    described: dict[str, Any] = {key: schema[key] for key in ("title", "description") if key in schema}
    return {**described, "type": "object", "properties": properties}


def _simple_array(schema: dict[str, Any], definitions: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    item_schemas = schema.get("prefixItems") or [schema.get("items") or {}]
    items = [_simple(item, definitions, path) for item in item_schemas]
    first = items[0]
    if first is None or any(item != first for item in items) or first["type"] == "array" or "contentEncoding" in first:
        return None
    return {"type": "array", "items": first}


def _type_of_choices(choices: list[Any]) -> str | None:
    if choices and all(isinstance(item, str) for item in choices):
        return "string"
    return "integer" if choices and all(isinstance(item, int) for item in choices) else None


def _array_schema(hint: type) -> dict[str, Any]:
    return ARRAY_SCHEMA if hint is np.ndarray else {}


def _array_form(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": str(value.dtype), "shape": list(value.shape), "data": value.tobytes()}
    raise TypeError(f"a {type(value).__name__} has no JSON form")
