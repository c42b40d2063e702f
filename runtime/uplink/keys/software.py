"""Wrapping keys that lie in files: the public key of whoever is to read objects, and what he opens them with."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.keys.wraps import KEY_ID_BYTES, Wrap, WrapKind

BLOCK_BYTES = 16
ID_BLOCK = b"cardan wrap key\0"
"""Encrypted with initial value 0, its first bytes tell an AES key; random initial values meet it once in 2^128."""
LEAST_RSA_BITS = 2048
OAEP_KINDS = (WrapKind.OAEP_SHA256, WrapKind.OAEP_SHA1)
LIBRARY_HINT = "pip install 'cardan[sign]'"


class AesKey:
    """An AES-256 key outside a token: the copy that stayed when it was brought into one."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.key_id = self._run(ID_BLOCK, bytes(BLOCK_BYTES), encrypt=True)[:KEY_ID_BYTES]

    def wrap(self, data_key: bytes) -> Wrap:
        initial = secrets.token_bytes(BLOCK_BYTES)
        return Wrap(WrapKind.AES_CBC, self.key_id, initial + self._run(data_key, initial, encrypt=True))

    def unwrap_or_none(self, wraps: Iterable[Wrap]) -> bytes | None:
        for wrap in wraps:
            if wrap.kind is WrapKind.AES_CBC and wrap.key_id == self.key_id:
                return self._run(wrap.data[BLOCK_BYTES:], wrap.data[:BLOCK_BYTES], encrypt=False)
        return None

    def _run(self, data: bytes, initial: bytes, *, encrypt: bool) -> bytes:
        ciphers = _library("ciphers")
        cipher = ciphers.Cipher(ciphers.algorithms.AES(self._key), ciphers.modes.CBC(initial))
        turn = cipher.encryptor() if encrypt else cipher.decryptor()
        done: bytes = turn.update(data) + turn.finalize()
        return done


class RsaPublicKey:
    """Wraps data keys for whoever has the private half. kind: how."""

    def __init__(self, key: Any, kind: WrapKind = WrapKind.OAEP_SHA256) -> None:
        self._key = key
        self._kind = kind
        self.key_id = rsa_key_id(key)

    def wrap(self, data_key: bytes) -> Wrap:
        return Wrap(self._kind, self.key_id, self._key.encrypt(data_key, oaep(self._kind)))


class RsaPrivateKey:
    """Gives back what was wrapped with the public half."""

    def __init__(self, key: Any) -> None:
        self._key = key
        self.key_id = rsa_key_id(key.public_key())

    def unwrap_or_none(self, wraps: Iterable[Wrap]) -> bytes | None:
        for wrap in wraps:
            if wrap.kind in OAEP_KINDS and wrap.key_id == self.key_id:
                found: bytes = self._key.decrypt(wrap.data, oaep(wrap.kind))
                return found
        return None


def rsa_key_id(public_key: Any) -> bytes:
    """The first bytes of the SHA-256 of its SubjectPublicKeyInfo (RFC 5280)."""
    form = _library("serialization")
    content = public_key.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    return sha256(content).digest()[:KEY_ID_BYTES]


def rsa_public_key(modulus: int, exponent: int) -> Any:
    """The key with these numbers."""
    return _library("asymmetric.rsa").RSAPublicNumbers(exponent, modulus).public_key()


def oaep(kind: WrapKind) -> Any:
    """The padding of a kind."""
    padding, hashes = _library("asymmetric.padding"), _library("hashes")
    digest = hashes.SHA1 if kind is WrapKind.OAEP_SHA1 else hashes.SHA256
    return padding.OAEP(padding.MGF1(digest()), digest(), None)


def read_recipient(path: Path) -> RsaPublicKey:
    """The public key in a PEM file; ConfigError when there is none that can wrap."""
    key = _read(path, "public", lambda data: _library("serialization").load_pem_public_key(data))
    return RsaPublicKey(_checked(key, path))


def read_private_key(path: Path) -> RsaPrivateKey:
    """The private key in a PEM file of its owner alone, without a passphrase; ConfigError otherwise."""
    key = _read(path, "private", lambda data: _library("serialization").load_pem_private_key(data, None))
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"others may read {path}, a private key", hint=f"`chmod 600 {path}`")
    return RsaPrivateKey(_checked(key, path))


def _read(path: Path, half: str, load: Any) -> Any:
    try:
        return load(path.read_bytes())
    except (OSError, ValueError, TypeError, _library_error()) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise ConfigError(
            f"the {half} key {path} cannot be read: {reason}",
            hint="`openssl genrsa -out private.pem 3072`, `openssl rsa -in private.pem -pubout -out public.pem`",
        ) from error


def _checked(key: Any, path: Path) -> Any:
    bits = getattr(key, "key_size", 0)
    if "RSA" not in type(key).__name__ or bits < LEAST_RSA_BITS:
        raise ConfigError(f"{path} holds no RSA key of at least {LEAST_RSA_BITS} bits", hint="`openssl genrsa 3072`")
    return key


def _library(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"cryptography.hazmat.primitives.{module}")
    except ImportError as error:
        raise ConfigError("keys cannot be used: cryptography is not installed", hint=LIBRARY_HINT) from error


def _library_error() -> type[Exception]:
    """What the library raises for a key that it does not know."""
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm
