"""Could a road look like this? What is finite and in range may still be impossible: lines that cross, above all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

SEEN = 0.5
"""Probability from which a lane or a lead counts as seen."""
NARROWEST_M = 1.5
"""Real lanes are 2.5 to 4 m wide; the rest is error of the far stations."""
WIDEST_M = 8.0


def implausible_or_none(outputs: Mapping[str, NDArray[Any]]) -> str | None:
    """Why no road looks like these outputs of a road network, or None. Lines that are not seen may be anywhere."""
    if outputs["lane_probability"][0, 0] < SEEN:
        return None
    width_m = outputs["left_y"][0] - outputs["right_y"][0]
    narrowest_m, widest_m = float(width_m.min()), float(width_m.max())
    if narrowest_m < NARROWEST_M or widest_m > WIDEST_M:
        return f"the lane is {narrowest_m:.2f} .. {widest_m:.2f} m wide"
    return None
