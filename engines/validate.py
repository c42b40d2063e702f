"""Is an output data at all? Finite and inside its range, checked on every frame, before anybody may use it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from cardan.engines.tensors import Tensor


def violation_or_none(outputs: Mapping[str, NDArray[Any]], tensors: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the outputs (tensor, value, range), or None. NaN and infinity are always wrong."""
    for name, array in outputs.items():
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            return f"{name} is not finite"
        tensor = tensors.get(name)
        if tensor is None:
            continue
        least = -math.inf if tensor.minimum is None else tensor.minimum
        most = math.inf if tensor.maximum is None else tensor.maximum
        if low < least or high > most:
            return f"{name} is {low:g} .. {high:g}, outside {least:g} .. {most:g}"
    return None
