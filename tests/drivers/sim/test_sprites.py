"""Trees are painted clump by clump, each only where it is."""

from __future__ import annotations

import numpy as np

from cardan.drivers.sim import sprites


def test_a_clump_of_leaves_covers_nothing_beyond_its_surroundings() -> None:
    across, up = sprites._grid(96, 152, sprites.TREE_WIDTH_M, sprites.TREE_HEIGHT_M)
    for y_m, z_m, radius in ((0.0, 5.0, 0.75), (1.7, 7.1, 0.35), (-1.7, 2.9, 0.5)):
        cover = np.clip((radius - np.hypot(across - y_m, up - z_m)) / sprites.BLUR_M + 0.5, 0.0, 1.0)
        near = sprites._around(across, up, y_m, z_m, radius + sprites.BLUR_M)
        assert cover[near].max() == 1.0
        cover[near] = 0.0
        assert not cover.any()
