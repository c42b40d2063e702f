"""The weights of a model, read once, and held to their hash before anybody makes something of them."""

from __future__ import annotations

import hashlib

from cardan.engines.model import ModelFile
from cardan.runtime.errors import ConfigError


def read_weights(file: ModelFile) -> bytes:
    """The ONNX file of a model. ConfigError when it cannot be read, or is not the one that its TOML file names."""
    try:
        content = file.weights.read_bytes()
    except OSError as error:
        raise ConfigError(
            f'model "{file.model.name}": {file.weights} cannot be read ({error.strerror})',
            hint=f"put the file there, or correct `file` in {file.path}",
        ) from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != file.model.sha256:
        raise ConfigError(
            f'model "{file.model.name}" has SHA-256 {actual[:12]}..., expected {file.short_hash}...',
            hint=f"was {file.weights} replaced? put the right one back, or import the new one: cardan engine import",
        )
    return content
