"""Wraps: a data key encrypted with a key that lasts, as it stands in the head of every object that it encrypts.

    1 byte of kind, 8 bytes that tell the wrapping key, 2 bytes of length (big end first), the wrapped data key

A data key is 32 random bytes. A wrap needs no check of its own: what a changed one unwraps to is not the key that the
object names, and is refused (`Cipher.key_name`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple, Protocol

from cardan.runtime.errors import CardanError

KEY_ID_BYTES = 8
MOST_WRAP_BYTES = 2048
"""Of an RSA key of 16384 bits."""
_HEAD = struct.Struct(f">B{KEY_ID_BYTES}sH")


class WrapKind(IntEnum):
    """How a data key was wrapped."""

    AES_CBC = 1
    """AES-256 in CBC (NIST SP 800-38A): 16 random bytes of initial value, then two blocks without padding."""
    OAEP_SHA256 = 2
    """RSA-OAEP (RFC 8017) with SHA-256, also in MGF1, without a label."""
    OAEP_SHA1 = 3
    """The same with SHA-1, for tokens that know no other; OAEP does not rest on what is broken in it."""


class Wrap(NamedTuple):
    """One data key, wrapped with one key."""

    kind: WrapKind
    key_id: bytes
    """Tells wrapping keys apart, and nothing about them."""
    data: bytes


class KeyAwayError(CardanError):
    """The key cannot be used now: nothing leaves, nothing is lost, and it is tried again."""


class Wrapper(Protocol):
    """A key that data keys are wrapped with."""

    def wrap(self, data_key: bytes) -> Wrap:
        """`data_key` for whoever has the other half. KeyAwayError when the key is away."""


class Unwrapper(Protocol):
    """A key that gives data keys back."""

    def unwrap_or_none(self, wraps: Iterable[Wrap]) -> bytes | None:
        """The data key, from whichever of these wraps is of this key; None: none is. KeyAwayError when it is away."""


class TwoWay(Wrapper, Unwrapper, Protocol):
    """A key that wraps, and gives back what it wrapped."""


def encode_wraps(wraps: Iterable[Wrap]) -> bytes:
    """Wraps one behind the other."""
    return b"".join(_HEAD.pack(wrap.kind, wrap.key_id, len(wrap.data)) + wrap.data for wrap in wraps)


def decode_wraps(data: bytes) -> list[Wrap]:
    """What `encode_wraps` wrote, without those of a kind that is not known here; ValueError when it is damaged."""
    found, at = [], 0
    while at < len(data):
        if len(data) - at < _HEAD.size:
            raise ValueError("a wrap ends within its head")
        kind, key_id, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if length > min(MOST_WRAP_BYTES, len(data) - at):
            raise ValueError("a wrap ends outside the head of the object")
        if kind in WrapKind.__members__.values():
            found.append(Wrap(WrapKind(kind), key_id, data[at : at + length]))
        at += length
    return found
