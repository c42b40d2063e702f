"""Fields of a record: what rules and the grid make of them. Pure functions on plain JSON data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from cardan.runtime.privacy.places import on_grid, position_or_none
from cardan.runtime.privacy.pseudonym import Pseudonyms
from cardan.runtime.privacy.settings import FieldRule, PositionFields

EACH = "*"
GONE = object()
"""In place of a value: the field is removed."""


def with_rule(message: Any, rule: FieldRule, pseudonyms: Pseudonyms) -> Any:
    """`message` after one rule. A field that the rule cannot be applied to is removed: it is not kept as it was."""

    def change(value: Any) -> Any:
        if rule.action == "pseudonym" and isinstance(value, str | int) and not isinstance(value, bool):
            return pseudonyms.of(str(value))
        if rule.action == "round" and rule.step is not None and _is_number(value):
            rounded = round(value / rule.step) * rule.step
            return rounded if math.isfinite(rounded) else GONE
        return GONE

    return changed(message, rule.field.split("."), change)


def with_grid(message: Any, fields: PositionFields, grid_m: float) -> Any:
    """`message` with its position on the grid; what is no position is removed."""
    latitude, longitude = field_of(message, fields.latitude), field_of(message, fields.longitude)
    position = position_or_none(latitude, longitude)
    coarse = None if position is None else on_grid(position, grid_m)
    new: dict[str, Any] = {fields.latitude: GONE, fields.longitude: GONE}
    if coarse is not None:
        new = {fields.latitude: coarse.latitude_deg, fields.longitude: coarse.longitude_deg}
    for path, value in new.items():
        message = _with(message, path, value)
    return message


def _with(message: Any, path: str, value: Any) -> Any:
    return changed(message, path.split("."), lambda _: value)


def changed(node: Any, path: list[str], change: Callable[[Any], Any]) -> Any:
    """`node` with `change` applied to what lies at `path`; a copy where something changes. Never raises."""
    if not path:
        return change(node)
    step, rest = path[0], path[1:]
    if isinstance(node, list) and step == EACH:
        items = (changed(item, rest, change) for item in node)
        return [item for item in items if item is not GONE]
    if isinstance(node, dict):
        names = list(node) if step == EACH else [step] if step in node else []
        new = dict(node)
        for name in names:
            value = changed(node[name], rest, change)
            if value is GONE:
                del new[name]
            else:
                new[name] = value
        return new
    return node


def field_of(message: Any, path: str) -> Any:
    """What lies at `path` of plain data or of a struct; None when there is nothing."""
    for step in path.split("."):
        message = message.get(step) if isinstance(message, dict) else getattr(message, step, None)
    return message


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
