"""In which precision a network computes: the type that most of its weights have, read from the ONNX file.

Only the types and sizes of the initializers are read, field by field of the protocol buffer (onnx.proto:
ModelProto.graph is field 7, GraphProto.initializer 5, TensorProto.dims 1 and data_type 2), so no library is needed and
weights stay on disk.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path

NAMES = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    10: "FP16",
    11: "FP64",
    16: "BF16",
    17: "FP8",
    18: "FP8",
    19: "FP8",
    22: "INT4",
}
"""TensorProto.DataType of weights. Whole numbers of 32 and 64 bits are shapes and indices, never weights."""
UNKNOWN = "precision not known"
_GRAPH, _INITIALIZER, _DIMS, _DATA_TYPE = 7, 5, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = tuple[int, int, int, int]
"""Number; value of a varint; begin and end of bytes."""


def precision_of(onnx: Path) -> str:
    """`FP32`, `FP16`, `INT8` ...; UNKNOWN for a file that is none, or that has no weights."""
    try:
        with onnx.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            elements = _elements_by_type(data)
    except (OSError, ValueError, IndexError):
        return UNKNOWN
    return elements.most_common(1)[0][0] if elements else UNKNOWN


def _elements_by_type(data: mmap.mmap) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number, _, begin, end in _fields(data, 0, len(data)):
        if number != _GRAPH:
            continue
        for inner, _, tensor_begin, tensor_end in _fields(data, begin, end):
            if inner == _INITIALIZER:
                name, size = _tensor(data, tensor_begin, tensor_end)
                counts[name] += size
    counts.pop("", None)
    return counts


def _tensor(data: mmap.mmap, begin: int, end: int) -> tuple[str, int]:
    """Name of its type, empty for one that is no weight's; number of its elements."""
    dims: list[int] = []
    name = ""
    for number, value, first, last in _fields(data, begin, end):
        if number == _DATA_TYPE:
            name = NAMES.get(value, "")
        elif number == _DIMS and first == last:
            dims.append(value)
        elif number == _DIMS:
            dims += _packed(data, first, last)
    return name, prod(dims)


def _packed(data: mmap.mmap, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = _varint(data, at)
        yield value


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[Field]:
    """The fields of one message; ValueError where a length points outside."""
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        value, begin = 0, at
        if kind == _VARINT:
            value, at = _varint(data, at)
            begin = at
        elif kind == _BYTES:
            length, begin = _varint(data, at)
            at = begin + length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if at > end:
            raise ValueError("a field ends outside")
        yield key >> 3, value, begin, at


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")
