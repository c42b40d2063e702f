"""Turn TOML tables into typed structs, field by field, so that every mistake is found at its own key path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import structs

from cardan.runtime.errors import CardanError, near_names
from cardan.runtime.findings import Findings
from cardan.runtime.toml_lines import TomlPath

S = TypeVar("S", bound=msgspec.Struct)

WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text in double quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""msgspec's type names -> what a person writes in TOML."""
BOUNDS = (
    (" of length >= ", " of at least length "),
    (" of length <= ", " of at most length "),
    (" >= ", " of at least "),
    (" <= ", " of at most "),
    (" > ", " above "),
    (" < ", " below "),
)
"""msgspec's signs -> words."""


def convert_table(table: Any, struct_type: type[S], path: TomlPath, findings: Findings) -> S | None:
    """`table` as a `struct_type`, or None with at least one finding at or below `path`.

    Structs, dicts and lists are walked into; every other value is checked on its own.
    """
    if not isinstance(table, dict):
        findings.add(path, f"{_shown(table)} does not fit", "expected a table")
        return None
    values = convert_fields(table, struct_type, path, findings)
    if findings.touches(path):
        return None
    try:
        return struct_type(**values)
    except (CardanError, ValueError, TypeError) as error:
        remedy = error.hint if isinstance(error, CardanError) and error.hint else "change the values in this table"
        findings.add(path, error.message if isinstance(error, CardanError) else str(error), remedy)
        return None


def convert_fields(
    table: dict[str, Any], struct_type: type[msgspec.Struct], path: TomlPath, findings: Findings
) -> dict[str, Any]:
    """The fields of `struct_type` that are in `table`, converted; None for each that has a finding."""
    fields = {field.encode_name: field for field in structs.fields(struct_type)}
    unknown = [key for key in table if key not in fields]
    for key in unknown:
        findings.add((*path, key), f'unknown key "{key}"', near_names(key, list(fields)))
    values: dict[str, Any] = {}
    for key, field in fields.items():
        if key in table:
            values[field.name] = convert_value(table[key], field.type, (*path, key), findings)
        elif field.required and not get_close_matches(key, unknown):
            findings.add((*path, key), "is missing", f"write {key} = {example(field.type)}")
    return values


def convert_value(value: Any, expected: Any, path: TomlPath, findings: Findings) -> Any:
    """`value` as `expected`; None with a finding at `path` when it does not fit, or when it had one already."""
    if _is_struct(expected):
        return convert_table(value, expected, path, findings)
    if get_origin(expected) is dict and isinstance(value, dict) and get_args(expected)[1] is not Any:
        inner = get_args(expected)[1]
        return {key: convert_value(item, inner, (*path, key), findings) for key, item in value.items()}
    if get_origin(expected) is list and isinstance(value, list):
        inner = get_args(expected)[0]
        return [convert_value(item, inner, (*path, at), findings) for at, item in enumerate(value)]
    if findings.touches(path):
        return None
    try:
        return msgspec.convert(value, expected)
    except msgspec.ValidationError as error:
        findings.add(*_problem(value, expected, path, str(error)))
    except (TypeError, NotImplementedError) as error:  # the type itself cannot be read from a file
        findings.add(path, f"nothing can be read into {expected}: {error}", "give this setting another type")
    return None


def example(expected: Any) -> str:
    """A placeholder for a value of this type, as it is written in TOML."""
    choices = choices_of(expected)
    if choices:
        return f'"{choices[0]}"'
    bare = get_args(expected)[0] if get_origin(expected) is Annotated else expected
    return {str: '"..."', int: "1", float: "1.0", bool: "true"}.get(bare, "...")


def choices_of(expected: Any) -> list[str]:
    """The texts that a Literal (or an optional one) allows."""
    if get_origin(expected) is Literal:
        return [item for item in get_args(expected) if isinstance(item, str)]
    return [choice for item in get_args(expected) for choice in choices_of(item)]


def _is_struct(expected: Any) -> bool:
    return isinstance(expected, type) and issubclass(expected, msgspec.Struct)


def _problem(value: Any, expected: Any, path: TomlPath, message: str) -> tuple[TomlPath, str, str]:
    """msgspec's message as (path, what, remedy), with the place inside lists and tables added to `path`."""
    message, _, place = message.partition(" - at `")
    inner = [int(part[1:-1]) if part[0] == "[" else part[1:] for part in re.findall(r"\[\d+\]|\.\w+", place)]
    path = (*path, *inner)
    wrong = _value_at(value, inner)
    choices = choices_of(expected)
    if message.startswith("Invalid enum value") and choices:
        return path, f"{_shown(wrong)} is not allowed", near_names(str(wrong), choices)
    if message.startswith("Object contains unknown field"):
        return path, message.replace("Object contains unknown field", "unknown key").replace("`", '"'), "remove it"
    if not message.startswith("Expected"):
        return path, message, "change this value"
    return path, f"{_shown(wrong)} does not fit", "expected " + _in_words(message)


def _value_at(value: Any, inner: Iterable[Any]) -> Any:
    for key in inner:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return value
    return value


def _in_words(message: str) -> str:
    """`Expected `float | null` > 0.0, got ...` as "a number > 0.0"."""
    expected = message.removeprefix("Expected ").split(", got ")[0]
    words = re.sub(r"`([^`]*)`", lambda match: _type_words(match.group(1)), expected)
    for sign, word in BOUNDS:
        words = words.replace(sign, word)
    return re.sub(r"(\d)\.0\b", r"\1", words)


def _type_words(names: str) -> str:
    return " or ".join(WORDS.get(name, name) for name in names.split(" | ") if name != "null")


def _shown(value: Any) -> str:
    """A value as it stands in the file, cut to one short line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if len(value) != 1 else "a list of one"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return " ".join(text[:60].split())
