"""Is an output data at all? Finite and inside its range, checked on every frame, before anybody may use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Smallest and largest value that an output tensor may hold."""

    minimum: float
    maximum: float


def violation_or_none(outputs: Mapping[str, NDArray[Any]], ranges: Mapping[str, Range]) -> str | None:
    """What is wrong with the outputs (tensor, value, range), or None. NaN and infinity are always wrong."""
    for name, array in outputs.items():
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            return f"{name} is not finite"
        allowed = ranges.get(name)
        if allowed is not None and (low < allowed.minimum or high > allowed.maximum):
            return f"{name} is {low:g} .. {high:g}, outside {allowed.minimum:g} .. {allowed.maximum:g}"
    return None
