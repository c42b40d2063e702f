"""Messages without their types: msgpack as plain values, arrays by their shape, and as JSON for any reader."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack

from cardan.runtime.cli.lines import safe_text
from cardan.runtime.errors import BusError

EXT_SLOT = 1
"""A descriptor of a shared-memory slot, as cardan.runtime.bus.codec writes it."""
EXT_ARRAY = 2
"""An array inside the message."""
EXT_PAYLOAD = 3
"""In place of the whole message: a descriptor of the slot that holds it."""
EXT_HEADS = frozenset(range(0xC7, 0xCA)) | frozenset(range(0xD4, 0xD9))
"""First bytes of a msgpack extension."""
DEEPEST = 32
LONGEST = 12
"""Elements of a list that are shown on one line."""


def decode_foreign(payload: bytes) -> Any:
    """The value in `payload`; BusError when it is no msgpack."""
    try:
        return msgpack.unpackb(payload, ext_hook=_extension, strict_map_key=False, unicode_errors="replace")
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise BusError(f"a message of {len(payload)} bytes is not msgpack: {error}") from error


def is_long(payload: bytes) -> bool:
    """True when an extension came in place of the message, which is a map: a descriptor of where it lies."""
    return payload[:1] != b"" and payload[0] in EXT_HEADS


def slot_bytes(payload: bytes) -> int:
    """Size of all that a message has in shared memory; 0 for a message that cannot be read."""
    total = 0

    def add(code: int, data: bytes) -> None:
        nonlocal total
        parts = _parts(code, data)
        if code in (EXT_SLOT, EXT_PAYLOAD) and isinstance(parts, list) and len(parts) == 5:
            total += _array_bytes(parts[3], parts[4])

    try:
        msgpack.unpackb(payload, ext_hook=add, strict_map_key=False, unicode_errors="replace")
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        return 0
    return total


def _array_bytes(dtype: Any, shape: Any) -> int:
    size = str(dtype).lstrip("<>=|")[1:]
    lengths = shape if isinstance(shape, list) else []
    whole = size.isdecimal() and all(isinstance(length, int) and length >= 0 for length in lengths)
    return math.prod(lengths) * int(size) if whole else 0


def _parts(code: int, data: bytes) -> Any:
    try:
        return msgpack.unpackb(data) if code in (EXT_SLOT, EXT_ARRAY, EXT_PAYLOAD) else None
    except (ValueError, RecursionError, msgpack.UnpackException):
        return None


def _extension(code: int, data: bytes) -> str:
    parts = _parts(code, data)
    if isinstance(parts, list) and code == EXT_SLOT and len(parts) == 5:
        return f"array {_shape(parts[3], parts[4])} in shared memory"
    if isinstance(parts, list) and code == EXT_PAYLOAD and len(parts) == 5:
        return f"a message of {_array_bytes(parts[3], parts[4])} bytes in shared memory"
    if isinstance(parts, list) and code == EXT_ARRAY and len(parts) == 3:
        return f"array {_shape(parts[0], parts[1])}"
    return f"extension {code} of {len(data)} bytes"


def _shape(dtype: Any, shape: Any) -> str:
    sizes = shape if isinstance(shape, list) else [shape]
    return f"{_dtype(str(dtype))} {'x'.join(str(size) for size in sizes)}"


def _dtype(code: str) -> str:
    """`|u1` as numpy names it: `uint8`."""
    kinds = {"u": "uint", "i": "int", "f": "float", "c": "complex", "b": "bool"}
    kind, size = code.lstrip("<>=|")[:1], code.lstrip("<>=|")[1:]
    if kind not in kinds or not size.isdecimal():
        return code
    return "bool" if kind == "b" else f"{kinds[kind]}{int(size) * 8}"


def json_safe(value: Any, depth: int = 0) -> Any:
    """`value` with bytes as hex, keys as text, and NaN and infinities as the words for them."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {_key(key): json_safe(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _key(key: Any) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)


def text_lines(value: Any, indent: int = 2) -> list[str]:
    """`value` for a person: one field a line, long lists cut."""
    if not isinstance(value, dict):
        return [" " * indent + one_line(value)]
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines += [f"{' ' * indent}{safe_text(_key(key))}:", *text_lines(item, indent + 2)]
        else:
            lines += _field(safe_text(_key(key)), item, indent)
    return lines


def _field(name: str, value: Any, indent: int) -> list[str]:
    """A list of lists (CAN frames) has a line for each; everything else has one line."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, (list, tuple, dict)) for item in value):
        shown = [f"{' ' * (indent + 2)}{one_line(item)}" for item in value[:LONGEST]]
        more = [f"{' ' * (indent + 2)}… {len(value) - LONGEST} more"] if len(value) > LONGEST else []
        return [f"{' ' * indent}{name}:", *shown, *more]
    return [f"{' ' * indent}{name}: {one_line(value)}"]


def one_line(value: Any, depth: int = 0) -> str:
    """A value on one line."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, (list, tuple)):
        more = [f"… {len(value) - LONGEST} more"] if len(value) > LONGEST else []
        return "[" + ", ".join([*(one_line(item, depth + 1) for item in value[:LONGEST]), *more]) + "]"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{safe_text(_key(key))}: {one_line(item, depth + 1)}" for key, item in value.items()) + "}"
        )
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return safe_text(value.hex() if isinstance(value, (bytes, bytearray)) else str(value))


def json_line(record: dict[str, Any]) -> str:
    """One line of JSON Lines."""
    return json.dumps(json_safe(record), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace").decode()
