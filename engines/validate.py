"""Is an output data at all? Finite and inside its range, checked on every frame, before anybody may use it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from cardan.engines.tensors import Tensor

LARGEST = sys.float_info.max
FEW = 64
"""Up to so many numbers a loop in Python is quicker than two reductions in numpy, which cost some microseconds each."""


def violation_or_none(outputs: Mapping[str, NDArray[Any]], tensors: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the outputs (tensor, value, range), or None. NaN and infinity are always wrong."""
    for name, array in outputs.items():
        least, most = _range(tensors.get(name))
        if array.size <= FEW:
            values = array.ravel().tolist()
            inside = True
            for value in values:
                inside = inside and least <= value <= most  # False for NaN, whatever the range
        else:
            inside = bool(array.min() >= least) and bool(array.max() <= most)  # NaN is the minimum of what contains it
        if not inside:
            return _violation(name, array, least, most)
    return None


def _range(tensor: Tensor | None) -> tuple[float, float]:
    if tensor is None:
        return -LARGEST, LARGEST
    return (
        -LARGEST if tensor.minimum is None else tensor.minimum,
        LARGEST if tensor.maximum is None else tensor.maximum,
    )


def _violation(name: str, array: NDArray[Any], least: float, most: float) -> str:
    low, high = float(array.min()), float(array.max())
    if not -LARGEST <= low <= high <= LARGEST:
        return f"{name} is not finite"
    limits = f"{_limit(least)} .. {_limit(most)}"
    return f"{name} is {low:g} .. {high:g}, outside {limits}"


def _limit(value: float) -> str:
    return f"{value:g}" if abs(value) < LARGEST else "inf" if value > 0 else "-inf"
