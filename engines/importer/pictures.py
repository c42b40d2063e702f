"""Sample frames from a folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cardan.engines.frames import Frames
from cardan.engines.tensors import Tensor
from cardan.runtime.errors import ConfigError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
MOST = 16
"""More make the import slow and the file of frames large, and show little more."""


def frames_from_pictures(folder: Path, inputs: Mapping[str, Tensor]) -> Frames:
    """Up to 16 pictures, from all over the folder, RGB in the size of the input; ConfigError when they do not fit."""
    if len(inputs) != 1:
        raise ConfigError(
            f"pictures fit a network with one input, this one has {len(inputs)}",
            hint="store frames as .npz, with an array for each input",
        )
    name, tensor = next(iter(inputs.items()))
    if tensor.dtype != "uint8" or len(tensor.shape) != 4 or tensor.shape[0] != 1 or 3 not in tensor.shape[1::2]:
        raise ConfigError(f'pictures do not fit input "{name}", {tensor}', hint="expected uint8, one picture of RGB")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError(f"no pictures in {folder}", hint=f"expected {', '.join(sorted(SUFFIXES))}")
    chosen = [found[index * len(found) // min(MOST, len(found))] for index in range(min(MOST, len(found)))]
    return {name: np.stack([_picture(path, tensor) for path in chosen])}


def _picture(path: Path, tensor: Tensor) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ConfigError("reading pictures needs pillow", hint="pip install 'cardan[record]'") from error
    planes = tensor.shape[3] != 3
    height, width = tensor.shape[2:4] if planes else tensor.shape[1:3]
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((width, height)), np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise ConfigError(f"{path} is no picture: {error}", hint="remove it from the folder") from error
    return (pixels.transpose(2, 0, 1) if planes else pixels)[np.newaxis]
