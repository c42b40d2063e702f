"""What every store promises: objects by name, made whole or not at all, and never overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from cardan.runtime.errors import CardanError

Buffer = bytes | memoryview

SHA256_KEY = "sha256"
"""Metadata of an object: the hash of its bytes, so that a second put is recognised without reading them back."""

Refusal = Literal["unreachable", "busy", "access", "refused"]
"""Why a store did not take an object: no answer came; it cannot now; it does not let us; it would never."""


class StoreError(CardanError):
    """An object was not made, or nobody knows; the same put may be tried again and does no harm.

    kind: what the uplink makes of it; status: the HTTP status, None where no answer came.
    """

    def __init__(
        self, message: str, *, kind: Refusal = "unreachable", status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind: Refusal = kind
        self.status = status


class HeldBackError(CardanError):
    """A gate let no more bytes out: of a budget, a link, a person's wish. What a store has so far stays there."""


class Outcome(Enum):
    """What became of a put that did not fail."""

    MADE = "made"
    SAME = "same"
    """It was there, and holds these bytes: an earlier answer was lost."""
    UNSEEN = "unseen"
    """It was there, and we may not look (a write-only key): its name has the hash of what it holds."""
    OTHER = "other"
    """Something else has that name. It is left alone."""

    @property
    def stored(self) -> bool:
        """True when what was put is at the store."""
        return self is not Outcome.OTHER


@dataclass(frozen=True, kw_only=True)
class SealedObject:
    """An object as it is to be at the store."""

    name: str
    """With `/`, as hive folders; the same for the same content, whenever it is put."""
    data: Buffer
    sha256: str
    """Of `data`, hexadecimal."""
    content_type: str
    in_blocks: bool = False
    """Whether a store that can takes it piece by piece. Fixed with the name: the two ways do not mix."""
    earlier: tuple[str, ...] = ()
    """Hashes of the same content as another release of an encoder sealed it, which may be at the store already."""

    def is_hash(self, sha256: str | None) -> bool:
        """True for the hash of this object, in whichever encoding it left."""
        return sha256 == self.sha256 or sha256 in self.earlier


Gate = Callable[[int], None]
"""Called before so many bytes leave; raises HeldBackError when they may not."""


def open_gate(_: int) -> None:
    """A gate that lets everything out."""


class Store(Protocol):
    """Immutable objects by name; there is no overwriting and no deleting. Not for two threads."""

    url: str
    """As it was given, for people; it holds no secret."""

    def put(self, item: SealedObject, gate: Gate = open_gate) -> Outcome:
        """Make an object, durable and verified when this returns; whole or not at all, whatever is cut.

        Blocks for as long as it takes, within time limits. StoreError when it cannot be made now.
        """


class ReadableStore(Store, Protocol):
    """A store that can be looked into, by whoever has a key that allows it: a vehicle's does not."""

    def names(self) -> Iterator[str]:
        """The name of every object, in no order. StoreError."""

    def read(self, name: str) -> bytes:
        """The bytes of an object. StoreError when it cannot be read."""
