"""Objects that nobody reads without the vehicle's key: AES-256-GCM (NIST SP 800-38D) before they leave.

    "CDNAES01", 8 bytes that tell the key, 12 bytes of nonce, then the object encrypted and 16 bytes of tag
    "CDNAES02", 8 bytes that tell the data key, 2 bytes of length (big end first), wraps of the data key (see
                `keys.wraps`), 12 bytes of nonce, then the object encrypted and 16 bytes of tag

All that stands before the encrypted bytes is authenticated with them, and so is the name of the object: none passes for
another. The nonce is a keyed hash of name and content: the same object is the same bytes whenever it is sealed, and two
different ones never share a nonce but by an accident of 96 bits.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.privacy.pseudonym import read_key

SUFFIX = ".aes"
MAGIC, MAGIC_WRAPPED = b"CDNAES01", b"CDNAES02"
KEY_NAME_BYTES, LENGTH_BYTES, NONCE_BYTES = 8, 2, 12
HEAD_BYTES = len(MAGIC) + KEY_NAME_BYTES + NONCE_BYTES
"""Without wraps."""
MOST_BYTES = 256 << 20
"""Of one object: it is encrypted in memory."""


class Head(NamedTuple):
    """What stands before the encrypted bytes."""

    key_name: bytes
    wraps: bytes
    """Empty: the key itself encrypts the object, and lies in a file."""
    nonce: bytes
    size: int
    """Of all of it."""


class Cipher:
    """Seals and opens objects with one key of 32 bytes. wraps: of this key, which then stand in each object."""

    def __init__(self, key: bytes, wraps: bytes = b"") -> None:
        self.wraps = wraps
        self._aes = _library()(_derived(key, b"seal"))
        self._nonce_key = _derived(key, b"nonce")
        self.key_name = _derived(key, b"name")[:KEY_NAME_BYTES]
        """Tells one key from another and nothing about it."""

    def seal(self, name: str, data: bytes | memoryview) -> bytes:
        """`data` encrypted as the object `name`. CardanError when it is too large for that."""
        if len(data) > MOST_BYTES:
            raise CardanError(f"an object of {len(data)} bytes is too large to be encrypted; the limit is {MOST_BYTES}")
        nonce = _derived(self._nonce_key, name.encode() + b"\0" + sha256(data).digest())[:NONCE_BYTES]
        head = MAGIC + self.key_name + nonce
        if self.wraps:
            length = len(self.wraps).to_bytes(LENGTH_BYTES, "big")
            head = MAGIC_WRAPPED + self.key_name + length + self.wraps + nonce
        sealed: bytes = self._aes.encrypt(nonce, data, head + name.encode())
        return head + sealed

    def open(self, name: str, data: bytes) -> bytes:
        """What was sealed as `name`. CardanError when it was not, or with another key, or was changed."""
        head = read_head(name, data)
        if head.key_name != self.key_name:
            raise CardanError(f"{name} was encrypted with another key")
        try:
            known = data[: head.size] + name.encode()
            found: bytes = self._aes.decrypt(head.nonce, data[head.size :], known)
        except Exception as error:
            if type(error).__name__ != "InvalidTag":
                raise
            raise CardanError(f"{name} was changed, or has another name than it was encrypted under") from error
        return found


def read_head(name: str, data: bytes) -> Head:
    """The head of an encrypted object; CardanError when it is none."""
    magic, at = data[: len(MAGIC)], len(MAGIC) + KEY_NAME_BYTES
    wraps = b""
    if magic == MAGIC_WRAPPED:
        length = int.from_bytes(data[at : at + LENGTH_BYTES], "big")
        at += LENGTH_BYTES + length
        wraps = data[at - length : at]
    if magic not in (MAGIC, MAGIC_WRAPPED) or len(data) < at + NONCE_BYTES:
        raise CardanError(f"{name} is no encrypted object")
    return Head(data[len(MAGIC) :][:KEY_NAME_BYTES], wraps, data[at : at + NONCE_BYTES], at + NONCE_BYTES)


def open_cipher(path: Path) -> Cipher:
    """The cipher with the key in a file. ConfigError when there is no key in it, or when others may read it."""
    return Cipher(read_key(path, "the key of objects"))


def _derived(key: bytes, what: bytes) -> bytes:
    return hmac.digest(key, what, "sha256")


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise ConfigError(
            "objects cannot be encrypted: cryptography is not installed", hint="pip install 'cardan[sign]'"
        ) from error
    return AESGCM
