"""Ed25519 signatures (RFC 8032) with keys in files: NAME.pub is trusted because it lies in a folder, NAME.key signs.

Each file has 32 bytes in base64. What a signature covers is for its user to say.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from cardan.runtime.errors import ConfigError

PUBLIC, PRIVATE = ".pub", ".key"
KEY_BYTES = 32


class BadSignature(ConfigError):
    """A signature is not good, whatever is wrong with it."""


def public_key(folder: Path, name: str) -> bytes:
    """The key NAME.pub in a folder of trusted ones; ConfigError when it is not there."""
    path = folder / f"{name}{PUBLIC}"
    if os.sep in name or not path.is_file():
        known = sorted(other.stem for other in folder.glob(f"*{PUBLIC}"))
        raise ConfigError(
            f'the key "{name}" is not among those that are trusted', hint=f"{folder} has {known or 'none'}"
        )
    return read_key(path)


def verify(content: bytes, signature: str, key: bytes) -> None:
    """BadSignature unless `signature` (base64) is that of `content` by the holder of the public `key`."""
    try:
        _ed25519().Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature, validate=True), content)
    except ConfigError:
        raise
    except Exception as error:  # whatever is wrong with a signature: it is not good
        raise BadSignature("the signature is not good") from error


def sign_bytes(content: bytes, private: Path) -> str:
    """The signature of `content` by a private key, in base64."""
    key = _ed25519().Ed25519PrivateKey.from_private_bytes(read_key(private))
    return base64.b64encode(key.sign(content)).decode()


def new_key(name: str, folder: Path) -> tuple[Path, Path]:
    """Make a key pair; the paths of the private and the public one. ConfigError when it is there already."""
    key = _ed25519().Ed25519PrivateKey.generate()
    paths = folder / f"{name}{PRIVATE}", folder / f"{name}{PUBLIC}"
    contents = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    for path, content, mode in zip(paths, contents, (0o600, 0o644), strict=True):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}", hint="choose another name or folder") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(content) + b"\n")
    return paths


def read_key(path: Path) -> bytes:
    """The 32 bytes of a key file; ConfigError when it is none."""
    try:
        content = base64.b64decode(path.read_bytes().strip(), validate=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a key: {error}") from error
    if len(content) != KEY_BYTES:
        raise ConfigError(f"{path} is no key: expected {KEY_BYTES} bytes in base64", hint="cardan engine new-key NAME")
    return content


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ConfigError(
            "signatures need the package cryptography, which is not installed", hint="pip install 'cardan[sign]'"
        ) from error
    return ed25519
