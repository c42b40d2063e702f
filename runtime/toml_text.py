"""Tables as TOML text, in their order; what reads them is `runtime/toml_document.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def toml_lines(table: Mapping[str, Any], path: str = "") -> list[str]:
    """Plain values first, then a table each; a table of tables alone needs no header of its own."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [f"[{path}]"] if path and (plain or not inner) else []
    lines += [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in inner.items():
        below = toml_lines(value, f"{path}.{_key(key)}" if path else _key(key))
        lines += below if below[0] == "" else ["", *below]
    return lines


def _key(key: str) -> str:
    return key if key and set(key) <= BARE else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
