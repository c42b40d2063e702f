"""The little of Protocol Buffers that a raw picture needs: fields, and the description of its message.

Wire format: https://protobuf.dev/programming-guides/encoding. Descriptions: google/protobuf/descriptor.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED_64, LENGTH, FIXED_32 = 0, 1, 2, 5
"""Wire types."""

TYPE_INT32, TYPE_INT64, TYPE_FIXED32, TYPE_STRING, TYPE_MESSAGE, TYPE_BYTES = 5, 3, 7, 9, 11, 12
"""`FieldDescriptorProto.Type`."""


def varint(value: int) -> bytes:
    """A whole number, not negative, seven bits a byte."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


def fixed32_field(number: int, value: int) -> bytes:
    return varint(number << 3 | FIXED_32) + struct.pack("<I", value)


def bytes_head(number: int, length: int) -> bytes:
    """What stands before the bytes of a field."""
    return varint(number << 3 | LENGTH) + varint(length)


def bytes_field(number: int, value: bytes | str) -> bytes:
    """A text, bytes, or a message inside a message."""
    data = value.encode() if isinstance(value, str) else value
    return bytes_head(number, len(data)) + data


def fields(data: bytes) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field; ValueError where the bytes are no message."""
    view, at = memoryview(data), 0
    while at < len(view):
        tag, at = _read_varint(view, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _read_varint(view, at)
            yield number, value
            continue
        size = {FIXED_64: 8, FIXED_32: 4}.get(kind)
        if kind == LENGTH:
            size, at = _read_varint(view, at)
        if size is None or at + size > len(view):
            raise ValueError(f"field {number} ends outside the message")
        part = view[at : at + size]
        yield number, part if kind == LENGTH else int.from_bytes(part, "little")
        at += size


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(view) and shift < 64:
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
    raise ValueError("a number ends outside the message")


class FieldOf(NamedTuple):
    """A field in the description of a message. type_name: `.package.Message` where it is one."""

    name: str
    number: int
    type: int
    type_name: str = ""


def file_description(
    name: str, package: str, message: str, members: list[FieldOf], imports: tuple[str, ...] = ()
) -> bytes:
    """`FileDescriptorProto` of a proto3 file with one message."""
    described = bytes_field(1, message) + b"".join(bytes_field(2, _member(item)) for item in members)
    return b"".join(
        [
            bytes_field(1, name),
            bytes_field(2, package),
            *(bytes_field(3, other) for other in imports),
            bytes_field(4, described),
            bytes_field(12, "proto3"),
        ]
    )


def _member(item: FieldOf) -> bytes:
    optional = 1
    head = bytes_field(1, item.name) + number_field(3, item.number) + number_field(4, optional)
    return head + number_field(5, item.type) + (bytes_field(6, item.type_name) if item.type_name else b"")


def description_set(*files: bytes) -> bytes:
    """`FileDescriptorSet`."""
    return b"".join(bytes_field(1, file) for file in files)
