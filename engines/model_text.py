"""A model's file as text: what `read_model` reads, written so that a person can go on from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cardan.engines.model import Model
from cardan.runtime.profile import SCHEMA
from cardan.runtime.toml_text import toml_lines


def model_text(model: Model) -> str:
    """`model` in TOML; what has its usual value is left out."""
    table = msgspec.to_builtins(model)
    usual = {
        field.encode_name: msgspec.to_builtins(field.default)
        for field in msgspec.structs.fields(Model)
        if field.default is not msgspec.NODEFAULT
    }
    kept = {key: _without_none(value) for key, value in table.items() if value is not None and value != usual.get(key)}
    return "\n".join(toml_lines({"schema": SCHEMA, **kept})) + "\n"


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None and item != ""}
    return value
