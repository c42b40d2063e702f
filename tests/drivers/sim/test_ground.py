"""The ground texture: a camera gets the levels it looks at, and they are those of the whole texture."""

from __future__ import annotations

import numpy as np
import pytest

from cardan.drivers.sim.ground import ACROSS_CELLS, ACROSS_LEVELS, ALONG_LEVELS, GroundTexture
from cardan.drivers.sim.style import Style

EVERY = {(along, across) for along in range(ALONG_LEVELS) for across in range(ACROSS_LEVELS)}


@pytest.fixture(scope="module")
def whole() -> GroundTexture:
    return GroundTexture(Style(), EVERY)


def row(texture: GroundTexture, pair: tuple[int, int], s_m: float) -> np.ndarray:
    start = texture.row_of(*pair, s_m)
    return texture.cells[start : start + (ACROSS_CELLS >> pair[1])]


@pytest.mark.slow
def test_a_wanted_level_is_the_same_alone_as_among_all(whole: GroundTexture) -> None:
    pairs = {(0, 0), (2, 5), (8, 1)}
    few = GroundTexture(Style(), pairs)
    for pair in pairs:
        for s_m in (0.0, 7.3, 35.9, 700.0):
            np.testing.assert_array_equal(row(few, pair, s_m), row(whole, pair, s_m))
    assert few.cells.size < whole.cells.size
