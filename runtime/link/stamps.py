"""Times inside messages of another computer: every field called `stamp_ns`, at any depth, is put on our clock.

Other fields are left alone: whether `start_ns` is a time or a duration is known to its author only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import structs

T = TypeVar("T")
FIELD = "stamp_ns"


def has_stamps(message_type: Any) -> bool:
    """True when a message of this type can hold a `stamp_ns`."""
    return _has(message_type, frozenset())


def shift_stamps(value: T, to_local_ns: Callable[[int], int]) -> T:
    """`value` with every `stamp_ns` on our clock. 0 stays 0: it means that there is none."""
    if isinstance(value, msgspec.Struct):
        changes = {name: _shift_field(name, getattr(value, name), to_local_ns) for name in value.__struct_fields__}
        return structs.replace(value, **changes)
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (msgspec.Struct, list, tuple)):
        return type(value)(shift_stamps(item, to_local_ns) for item in value)
    return value


def _shift_field(name: str, value: Any, to_local_ns: Callable[[int], int]) -> Any:
    if name == FIELD and isinstance(value, int):
        return to_local_ns(value) if value else 0
    return shift_stamps(value, to_local_ns)


def _has(hint: Any, seen: frozenset[Any]) -> bool:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and hint not in seen:
        fields = get_type_hints(hint)
        return FIELD in fields or any(_has(item, seen | {hint}) for item in fields.values())
    return any(_has(item, seen) for item in get_args(hint))
