"""What producers and the outbox say to each other through the door: msgpack, one message a packet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from cardan.runtime.outbox.segment import RecordClass

DOOR_NAME = "door"
PACKET_BYTES = 128 << 10
"""Of one packet: it must fit into the socket's buffer, which is 208 KiB unless somebody changed it."""
PUT_BYTES = 64 << 10
"""A producer sends a packet when so many bytes of payload are in it; a single longer record goes alone."""
MOST_RECORD_BYTES = 96 << 10
"""Of one record through the door. What is longer (clips, files) is a file of its own, not a record."""
MOST_NAME = 64

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_NAME)]


class PutRecord(msgspec.Struct, frozen=True, array_like=True):
    """One record as its producer made it."""

    mono_ns: int
    wall_ns: int
    payload: bytes


class Hello(msgspec.Struct, frozen=True, tag=True):
    """First message of a producer. Its name is the same in every life of it, and no two live at the same time."""

    producer: Name


class Put(msgspec.Struct, frozen=True, tag=True):
    """Records of one class with the producer's numbers `first`, `first + 1`, ..."""

    kind: RecordClass
    first: Annotated[int, msgspec.Meta(ge=1)]
    records: list[PutRecord]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a producer stands in one class: everything up to `highest` is durable, except `holes`."""

    highest: int
    holes: list[int]


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """Answer to Hello: where this producer stands, in the order of the classes."""

    places: list[Place]


class Kept(msgspec.Struct, frozen=True, tag=True):
    """Every record of this class up to `number` is durable."""

    kind: RecordClass
    number: int


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Nothing from `number` on was taken, and nothing was promised. It may be put again under the same number.

    reason: `no space`, `disk`, `too long`, `unreadable`, `out of order` (a number before it is missing), `name in use`,
    `too many`.
    """

    kind: RecordClass
    number: int
    reason: str
    text: str


ToOutbox = Hello | Put
ToProducer = Welcome | Kept | Refused


def address(descriptor: int) -> str:
    """Address of the door in the folder that this descriptor has open: as short as a socket's name must be."""
    return f"/proc/self/fd/{descriptor}/{DOOR_NAME}"


def door_path(outbox: Path) -> Path:
    """Where the door is."""
    return outbox / DOOR_NAME
