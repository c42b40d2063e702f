"""Signed models: only what the holder of a trusted key has signed may run, where a host asks for that.

A signature covers every line of the model's file but itself, and so, through the hash that stands there, the weights.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.engines.model import Model, ModelFile, Signature
from cardan.engines.weights import read_weights
from cardan.runtime.errors import ConfigError
from cardan.runtime.signing import BadSignature, new_key, public_key, sign_bytes, verify

__all__ = ["TrustedKeys", "new_key", "sign", "signed_content"]


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
            verify(signed_content(model), signature.ed25519, public_key(self._folder, signature.key))
        except BadSignature as error:
            raise ConfigError(
                f'model "{model.name}": its signature by "{signature.key}" is not good',
                hint="was the file changed after it was signed? sign it again: cardan engine sign",
            ) from error


def signed_content(model: Model) -> bytes:
    """What a signature covers: the model without it, in one form for all ways to write the same file."""
    return msgspec.json.encode(msgspec.structs.replace(model, signature=None), order="deterministic")


def sign(model: Model, private: Path) -> Signature:
    """The signature of a model by a private key; it bears the name of the key's file."""
    return Signature(key=private.stem, ed25519=sign_bytes(signed_content(model), private))
