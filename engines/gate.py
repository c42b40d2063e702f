"""The accuracy gate: what has been made of a network must answer as the network does in FP32, on stored frames.

Rebuilding the same network on the same computer may choose other kernels and give other numbers, so every plan passes
here before it is used, not only the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.engines.backends.backend import Session
from cardan.engines.backends.onnxruntime import plain_session
from cardan.engines.frames import Frames, each
from cardan.engines.model import Model

Outputs = Mapping[str, NDArray[Any]]
"""By output: an array whose first dimension counts the frames."""


def reference_outputs(content: bytes, frames: Frames) -> Outputs:
    """What the ONNX file answers, operator by operator, on the CPU."""
    session = plain_session(content)
    names = [output.name for output in session.get_outputs()]
    answers = [session.run(names, frame) for frame in each(frames)]
    return {name: np.stack([answer[index] for answer in answers]) for index, name in enumerate(names)}


def session_outputs(session: Session, frames: Frames) -> Outputs:
    """What a session answers."""
    answers: dict[str, list[NDArray[Any]]] = {name: [] for name in session.outputs}
    for frame in each(frames):
        for name, array in frame.items():
            session.inputs[name][...] = array
        session.run()
        for name, output in session.outputs.items():
            answers[name].append(output.copy())
    return {name: np.stack(found) for name, found in answers.items()}


def deviations(found: Outputs, expected: Outputs) -> dict[str, float]:
    """|found - expected| / |expected| (L2 over all frames) of each output; infinite where numbers are not finite."""
    return {name: _relative_l2(found[name], array) for name, array in expected.items()}


def _relative_l2(found: NDArray[Any], expected: NDArray[Any]) -> float:
    one, other = found.astype(np.float64), expected.astype(np.float64)
    if one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return math.inf
    distance, length = float(np.linalg.norm(one - other)), float(np.linalg.norm(other))
    return distance / length if length else (0.0 if distance == 0.0 else math.inf)


def too_far(model: Model, found: Mapping[str, float]) -> list[str]:
    """The outputs whose deviation exceeds the model's tolerance, as text."""
    allowed = model.accuracy.relative_l2
    return [
        f'output "{name}" deviates by {value:.3g} from FP32, allowed {allowed:g}'
        for name, value in found.items()
        if not value <= allowed
    ]
