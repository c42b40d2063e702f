"""The ground as a texture in road coordinates, at every resolution a camera row may need.

The texture repeats every 36 m along the road (two dash periods). Each camera row takes its pixels from the level
whose cells are as large as the row's own pixels along and across the road (a rip-map), so far lines are smooth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.drivers.sim.road import DASH_LENGTH_M, DASH_PERIOD_M, LANE_WIDTH_M
from cardan.drivers.sim.style import Colour, Style

Plane = NDArray[np.floating[Any]]

PERIOD_M = 2.0 * DASH_PERIOD_M
ALONG_CELLS = 512
ACROSS_CELLS = 4096
ACROSS_CELL_M = 0.0125
ALONG_CELL_M = PERIOD_M / ALONG_CELLS
ALONG_LEVELS = 9
ACROSS_LEVELS = 6
SHOULDER_M = 1.6


class GroundTexture:
    """The wanted pairs of levels (along, across) in one flat array of packed colours, uint32 0x00BBGGRR."""

    def __init__(self, style: Style, wanted: set[tuple[int, int]]) -> None:
        self._starts: dict[tuple[int, int], int] = {}
        levels: list[NDArray[np.uint32]] = []
        start = 0
        wide = paint_ground(style)
        for along in range(max(pair[0] for pair in wanted) + 1):
            fine = wide
            for across in range(max((pair[1] for pair in wanted if pair[0] == along), default=-1) + 1):
                fine = (fine[:, 0::2] + fine[:, 1::2]) * np.float32(0.5) if across else fine
                if (along, across) in wanted:
                    self._starts[along, across] = start
                    levels.append(_packed(fine))
                    start += levels[-1].size
            wide = (wide[0::2] + wide[1::2]) * np.float32(0.5)
        self.cells = np.concatenate(levels)

    def row_of(self, along_level: int, across_level: int, s_m: float) -> int:
        """Index into `cells` of the first cell (the far right) of the row at distance `s_m`; of a wanted pair only."""
        rows = ALONG_CELLS >> along_level
        row = int(s_m / (ALONG_CELL_M * (1 << along_level))) % rows
        return self._starts[along_level, across_level] + row * (ACROSS_CELLS >> across_level)


def level_for(footprint_m: float, cell_m: float, levels: int) -> int:
    """The coarsest level whose cells are not larger than `footprint_m`, or the finest."""
    return int(np.clip(np.floor(np.log2(max(footprint_m / cell_m, 1.0))), 0, levels - 1))


def lane_edges_m(style: Style) -> tuple[float, float]:
    """Outer edges (right, left) of all lanes, as offsets from the own lane's centre."""
    return -(style.lanes_right + 0.5) * LANE_WIDTH_M, (style.lanes_left + 0.5) * LANE_WIDTH_M


def paint_ground(style: Style) -> Plane:
    """One period of ground, float32 (along, across, RGB) 0..255; column 0 is the far right."""
    draw = np.random.default_rng(style.seed)
    offset = ((np.arange(ACROSS_CELLS) + 0.5) * ACROSS_CELL_M - ACROSS_CELLS * ACROSS_CELL_M / 2.0).astype(np.float32)
    along = ((np.arange(ALONG_CELLS) + 0.5) * ALONG_CELL_M).astype(np.float32)
    right, left = lane_edges_m(style)
    on_road = _inside(offset, right - SHOULDER_M, left + SHOULDER_M, 0.05)
    on_verge = _inside(offset, right - SHOULDER_M - 0.9, left + SHOULDER_M + 0.9, 0.3) - on_road
    shade = _brightness(draw, style, offset, on_road)
    paint = _lines(style, offset, along)
    ground = np.empty((ALONG_CELLS, ACROSS_CELLS, 3), np.float32)
    for channel in range(3):
        base = style.asphalt[channel] * on_road + style.verge[channel] * on_verge
        base = base + style.grass[channel] * (1.0 - on_road - on_verge)
        plane = ground[:, :, channel]
        np.add(shade, base[np.newaxis, :], out=plane)
        plane += paint * (style.line[channel] - plane)
    ground *= np.float32(style.light)
    if style.shadow > 0.0:
        ground *= (1.0 - style.shadow * _shadows(draw, offset, along))[:, :, np.newaxis]
    return np.clip(ground, 0.0, 255.0, out=ground)


def _brightness(draw: np.random.Generator, style: Style, offset: Plane, on_road: Plane) -> Plane:
    """Grain of the asphalt, tufts of the grass, and the wheel tracks, added to the base colour."""
    shape = (ALONG_CELLS // 2, ACROSS_CELLS // 8)
    coarse = draw.standard_normal(shape, dtype=np.float32)
    tufts = np.repeat(np.repeat(coarse, 2, axis=0), 8, axis=1) * np.float32(style.grain * 1.3)
    fine = np.tile(draw.standard_normal((ALONG_CELLS, ACROSS_CELLS // 4), dtype=np.float32), (1, 4))
    in_lane = np.mod(offset + LANE_WIDTH_M / 2.0, LANE_WIDTH_M) - LANE_WIDTH_M / 2.0
    tracks = np.exp(-(((np.abs(in_lane) - 0.75) / 0.3) ** 2)) * np.float32(-style.tracks)
    road = on_road[np.newaxis, :]
    grain: Plane = fine * np.float32(style.grain) * (road * 0.9 + 0.1) + tufts * (1.0 - road) + tracks * on_road
    return grain


def _lines(style: Style, offset: Plane, along: Plane) -> Plane:
    """Cover of paint, 0..1: solid at the outer edges, dashed between lanes."""
    dashed = (np.mod(along, DASH_PERIOD_M) < DASH_LENGTH_M).astype(np.float32)[:, np.newaxis]
    right, left = lane_edges_m(style)
    cover = np.zeros((len(along), len(offset)), np.float32)
    for line in range(style.lanes_left + style.lanes_right + 2):
        edge = right + line * LANE_WIDTH_M
        half = style.line_width_m / 2.0
        stripe = _inside(offset, edge - half, edge + half, ACROSS_CELL_M)
        solid = abs(edge - right) < 0.1 or abs(edge - left) < 0.1
        cover += stripe[np.newaxis, :] * (1.0 if solid else dashed)
    cover *= np.float32(style.line_strength)
    return cover


def _shadows(draw: np.random.Generator, offset: Plane, along: Plane) -> Plane:
    """Soft patches across the road, 0..1."""
    dark = np.zeros((len(along), len(offset)), np.float32)
    for _ in range(int(draw.integers(1, 4))):
        centre, slant, half = draw.uniform(4.0, PERIOD_M - 4.0), draw.uniform(-0.4, 0.4), draw.uniform(0.8, 3.0)
        away = np.abs(along[:, np.newaxis] - np.float32(centre) - offset[np.newaxis, :] * np.float32(slant))
        away = np.minimum(away, PERIOD_M - away)
        np.maximum(dark, np.clip((half - away) / 0.4 + 0.5, 0.0, 1.0), out=dark)
    return dark


def _inside(offset: Plane, low_m: float, high_m: float, soft_m: float) -> Plane:
    rise = np.clip((offset - low_m) / soft_m + 0.5, 0.0, 1.0)
    fall = np.clip((high_m - offset) / soft_m + 0.5, 0.0, 1.0)
    return np.asarray(rise * fall, np.float32)


def _packed(colour: Plane | tuple[Colour, ...]) -> NDArray[np.uint32]:
    """Colours (..., 3) as a flat array of 0x00BBGGRR, so that one gather fetches a whole pixel."""
    whole = np.asarray(colour)
    packed = np.zeros((*whole.shape[:-1], 4), np.uint8)
    packed[..., :3] = whole + 0.5
    return packed.view("<u4").reshape(-1).astype(np.uint32, copy=False)
