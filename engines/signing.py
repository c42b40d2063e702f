"""Signed models: only what the holder of a trusted key has signed may run, where a host asks for that.

A signature (Ed25519, RFC 8032) covers every line of the model's file but itself, and so, through the hash that stands
there, the weights. Public keys are files NAME.pub in one folder, private ones NAME.key, each 32 bytes in base64.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import msgspec

from cardan.engines.model import Model, ModelFile, Signature
from cardan.engines.weights import read_weights
from cardan.runtime.errors import ConfigError

PUBLIC, PRIVATE = ".pub", ".key"
KEY_BYTES = 32


class TrustedKeys:
    """The public keys in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read_weights(self, file: ModelFile) -> bytes:
        """The weights of a model that one of our keys has signed; ConfigError for every other."""
        self.require(file.model)
        return read_weights(file)

    def require(self, model: Model) -> None:
        """ConfigError unless `model` bears a good signature by a key that we trust."""
        signature = model.signature
        if signature is None:
            raise ConfigError(
                f'model "{model.name}" is not signed, and this host takes signed ones only',
                hint="cardan engine sign MODEL.toml --key NAME.key",
            )
        try:
            key = _ed25519().Ed25519PublicKey.from_public_bytes(self._public(signature.key))
            key.verify(base64.b64decode(signature.ed25519, validate=True), signed_content(model))
        except Exception as error:  # whatever is wrong with a signature: it is not good
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f'model "{model.name}": its signature by "{signature.key}" is not good',
                hint="was the file changed after it was signed? sign it again: cardan engine sign",
            ) from error

    def _public(self, name: str) -> bytes:
        path = self._folder / f"{name}{PUBLIC}"
        if os.sep in name or not path.is_file():
            known = sorted(other.stem for other in self._folder.glob(f"*{PUBLIC}"))
            raise ConfigError(
                f'the key "{name}" is not among those that are trusted', hint=f"{self._folder} has {known or 'none'}"
            )
        return _read_key(path)


def signed_content(model: Model) -> bytes:
    """What a signature covers: the model without it, in one form for all ways to write the same file."""
    return msgspec.json.encode(msgspec.structs.replace(model, signature=None), order="deterministic")


def sign(model: Model, private: Path) -> Signature:
    """The signature of a model by a private key; it bears the name of the key's file."""
    key = _ed25519().Ed25519PrivateKey.from_private_bytes(_read_key(private))
    made = base64.b64encode(key.sign(signed_content(model))).decode()
    return Signature(key=private.stem, ed25519=made)


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


def _read_key(path: Path) -> bytes:
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
