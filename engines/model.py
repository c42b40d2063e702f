"""A model file: its bytes, its hash, and where it lies; the hash is checked before anything is loaded from it."""

from __future__ import annotations

import hashlib
import json
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

    sha256: when given, another content is refused; a shipped model is always held to the hash in the card beside it.
    ConfigError says what was looked for, and where.
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
    expected = sha256.lower() or (_card_hash(name) if shipped.is_file() else "")
    actual = hashlib.sha256(content).hexdigest()
    if expected and actual != expected:
        raise ConfigError(
            f'model "{name}" has SHA-256 {actual[:12]}..., expected {expected[:12]}...',
            hint="was the file replaced? put the right one back, or change sha256 in the manifest",
        )
    return ModelFile(name, content, actual)


def _card_hash(name: str) -> str:
    """The hash in the card of a shipped model: the file that also holds its measured numbers."""
    card = files("cardan.engines").joinpath("models").joinpath(f"{Path(name).stem}.json")
    return str(json.loads(card.read_text())["sha256"])
