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

_Output = tuple[str, NDArray[Any], float, float]
"""Name, all of its numbers in one row, least, most."""


class OutputCheck:
    """Looks at the bound outputs of one session. Their ranges are looked up once, not on every frame."""

    def __init__(self, outputs: Mapping[str, NDArray[Any]], tensors: Mapping[str, Tensor]) -> None:
        rows: list[_Output] = [(name, row.reshape(-1), *_range(tensors.get(name))) for name, row in outputs.items()]
        self._small = [row for row in rows if row[1].size <= FEW]
        self._large = [row for row in rows if row[1].size > FEW]

    def violation_or_none(self) -> str | None:
        """What is wrong with the outputs now (tensor, value, range), or None. NaN and infinity are always wrong."""
        for name, numbers, least, most in self._small:
            for value in numbers.tolist():
                if not least <= value <= most:  # so is NaN, whatever the range
                    return _violation(name, numbers, least, most)
        for name, numbers, least, most in self._large:
            if not (numbers.min() >= least and numbers.max() <= most):  # NaN is the minimum of what contains it
                return _violation(name, numbers, least, most)
        return None


def violation_or_none(outputs: Mapping[str, NDArray[Any]], tensors: Mapping[str, Tensor]) -> str | None:
    """The same for outputs that are looked at once."""
    return OutputCheck(outputs, tensors).violation_or_none()


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
