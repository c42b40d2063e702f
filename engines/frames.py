"""Stored frames: inputs of a network that were kept, to judge what has been made of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.engines.model import ModelFile
from cardan.engines.tensors import Tensor
from cardan.runtime.errors import ConfigError

Frames = Mapping[str, NDArray[Any]]
"""By input: an array whose first dimension counts the frames, the rest is the input's shape."""

RANDOM_FRAMES = 4
SEED = 1
EXPECTED = "expected."
"""Before the names of outputs, in a file of frames."""


def frames_of(file: ModelFile) -> Frames:
    """The frames that the model names, else random ones: these exercise a network poorly, but everywhere the same."""
    name = file.model.accuracy.frames
    return read_frames(file.path.parent / name, file.model.inputs) if name else random_frames(file.model.inputs)


def random_frames(inputs: Mapping[str, Tensor], count: int = RANDOM_FRAMES) -> Frames:
    """Noise of the right types and ranges, always the same."""
    draw = np.random.default_rng(SEED)
    return {name: _noise(tensor, count, draw) for name, tensor in inputs.items()}


def _noise(tensor: Tensor, count: int, draw: np.random.Generator) -> NDArray[Any]:
    shape, dtype = (count, *tensor.shape), np.dtype(tensor.dtype)
    if dtype.kind in "ui":
        low = 0 if tensor.minimum is None else int(tensor.minimum)
        high = np.iinfo(dtype).max if tensor.maximum is None else int(tensor.maximum)
        return draw.integers(low, min(high, 255), shape, dtype=dtype, endpoint=True)
    if dtype.kind == "b":
        return draw.integers(0, 2, shape).astype(dtype)
    low_value = -1.0 if tensor.minimum is None else tensor.minimum
    high_value = max(1.0, low_value) if tensor.maximum is None else tensor.maximum
    return draw.uniform(low_value, high_value, shape).astype(dtype)


def read_frames(path: Path, inputs: Mapping[str, Tensor]) -> Frames:
    """Frames from an .npz with an array for each input; ConfigError says which array is missing or does not fit."""
    frames = _arrays(path)
    counts = {len(array) for name, array in frames.items() if name in inputs and array.ndim}
    for name, tensor in inputs.items():
        array = frames.get(name)
        fits = array is not None and array.dtype == tensor.dtype and array.shape[1:] == tensor.shape
        if not fits:
            has = "absent" if array is None else f"{array.dtype} {array.shape}"
            raise ConfigError(f'{path}: frames of input "{name}" are {has}', hint=f"expected N frames of {tensor}")
    if len(counts) != 1 or 0 in counts:
        raise ConfigError(f"{path}: the inputs have different numbers of frames, or none", hint="store as many of each")
    return {name: frames[name] for name in inputs}


def read_expected_or_none(path: Path) -> Frames | None:
    """What the network answered in FP32 when it was imported, by output; None when the file does not have it."""
    found = {name.removeprefix(EXPECTED): array for name, array in _arrays(path).items() if name.startswith(EXPECTED)}
    return found or None


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        hint = "expected an .npz with an array for each input"
        raise ConfigError(f"no frames in {path}: {error}", hint=hint) from error


def as_npz(frames: Frames, expected: Frames) -> bytes:
    """The bytes of an .npz that `read_frames` and `read_expected_or_none` read."""
    buffer = io.BytesIO()
    answers = {f"{EXPECTED}{name}": array for name, array in expected.items()}
    np.savez_compressed(buffer, allow_pickle=False, **frames, **answers)
    return buffer.getvalue()


def each(frames: Frames) -> Iterator[dict[str, NDArray[Any]]]:
    """One frame after the other, by input."""
    for index in range(min(len(array) for array in frames.values())):
        yield {name: array[index] for name, array in frames.items()}
