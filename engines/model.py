"""A model file: its bytes, its hash, and where it lies; the hash is checked before anything is loaded from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cardan.runtime.errors import ConfigError


@dataclass(frozen=True)
class ModelFile:
    """A model as it lies on disk."""

    name: str
    content: bytes
    sha256: str

    @property
    def short_hash(self) -> str:
        """First 12 hex digits of the SHA-256: what messages carry and people compare."""
        return self.sha256[:12]


def read_model(name: str, *, folder: Path, sha256: str = "") -> ModelFile:
    """The model called `name`: a file of ours (`road_net.onnx`) or a path relative to `folder` (the manifest's).

    sha256: when given, another content is refused. ConfigError says what was looked for, and where.
    """
    shipped = files("cardan.engines").joinpath("models").joinpath(name)
    path = folder / name
    try:
        content = shipped.read_bytes() if shipped.is_file() else path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f'no model "{name}": {path} cannot be read ({error.strerror})',
            hint="name a shipped model (road_net.onnx) or a path relative to the manifest",
        ) from error
    actual = hashlib.sha256(content).hexdigest()
    if sha256 and actual != sha256.lower():
        raise ConfigError(
            f'model "{name}" has SHA-256 {actual[:12]}..., expected {sha256[:12]}...',
            hint="was the file replaced? put the right one back, or change sha256 in the manifest",
        )
    return ModelFile(name, content, actual)
