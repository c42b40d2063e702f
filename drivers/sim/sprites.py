"""Flat pictures of things that stand on the ground, and how to paint one at any size.

Pictures are float32 (height, width, 4), RGB 0..255 premultiplied by alpha 0..1. They are drawn by formula.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.drivers.sim.style import Colour

Plane = NDArray[np.floating[Any]]
Image = NDArray[np.uint8]
Picture = list[Plane]
"""The same picture at full, half, quarter ... size."""

CAR_WIDTH_M = 1.82
CAR_HEIGHT_M = 1.46
CAR_LENGTH_M = 4.5
TREE_HEIGHT_M = 8.0
TREE_WIDTH_M = 5.0
POST_HEIGHT_M = 1.0
POST_WIDTH_M = 0.14
BLUR_M = 0.15
"""Over which the rim of a clump of leaves fades."""


def paint(image: Image, picture: Picture, box: tuple[float, float, float, float], haze: Colour, mist: float) -> None:
    """Blend `picture` into `image`; box: left, top, right, bottom in pixels; mist 0..1 fades it into `haze`."""
    left, top, right, bottom = box
    height, width = image.shape[:2]
    first_row, last_row = max(0, math.floor(top)), min(height, math.ceil(bottom))
    first_column, last_column = max(0, math.floor(left)), min(width, math.ceil(right))
    if first_row >= last_row or first_column >= last_column or right - left < 0.3 or bottom - top < 0.3:
        return
    level = int(np.clip(math.log2(max(picture[0].shape[1] / (right - left), 1.0)), 0, len(picture) - 1))
    source = picture[level]
    rows = (np.arange(first_row, last_row, dtype=np.float32) + 0.5 - top) / (bottom - top)
    columns = (np.arange(first_column, last_column, dtype=np.float32) + 0.5 - left) / (right - left)
    patch = _sampled(_sampled(source, rows).transpose(1, 0, 2), columns).transpose(1, 0, 2)
    alpha = patch[..., 3:]
    colour = patch[..., :3] * (1.0 - mist) + alpha * (np.asarray(haze, np.float32) * mist)
    area = image[first_row:last_row, first_column:last_column]
    area[...] = area * (1.0 - alpha) + colour


def car_pictures(body: Colour) -> dict[str, Picture]:
    """`rear`: the back of a saloon; `cabin` and `hood`: silhouettes of slices further ahead; `shadow`: below it."""
    across, up = _grid(256, 208, CAR_WIDTH_M, CAR_HEIGHT_M)
    shell, cabin, tyres = _car_parts(across, up)
    side = _scaled(body, 0.55)
    rear = _empty(across)
    _layer(rear, tyres, (24.0, 24.0, 26.0))
    _layer(rear, np.maximum(shell, cabin), body)
    _shade(rear, up)
    _rear_details(rear, across, up)
    hood, slab = _empty(across), _empty(across)
    for picture, cover in ((hood, shell), (slab, np.maximum(shell, cabin))):
        _layer(picture, tyres, (20.0, 20.0, 22.0))
        _layer(picture, cover, side)
    _layer(slab, _block(across, up, 0.92, 0.98, 1.36, 0.05), (28.0, 32.0, 38.0))
    shade = _empty(across)
    soft = np.clip(1.6 - 1.6 * ((across / 0.9) ** 4 + ((up / CAR_HEIGHT_M - 0.5) * 2.0) ** 4), 0.0, 0.75)
    _layer(shade, np.asarray(soft, np.float32), (12.0, 12.0, 14.0))
    return {"rear": _halved(rear), "cabin": _halved(slab), "hood": _halved(hood), "shadow": _halved(shade)}


def tree_picture(draw: np.random.Generator, leaf: Colour) -> Picture:
    """A broad-leaved tree, lit from the upper left."""
    across, up = _grid(96, 152, TREE_WIDTH_M, TREE_HEIGHT_M)
    tree = _empty(across)
    _layer(tree, _block(across, up, 0.16, 0.0, 4.0, 0.1), (74.0, 60.0, 48.0))
    for _ in range(70):
        angle, reach = draw.uniform(0.0, 2.0 * math.pi), math.sqrt(draw.uniform(0.0, 1.0))
        y_m, z_m = 1.7 * reach * math.cos(angle), 5.0 + 2.2 * reach * math.sin(angle)
        radius = draw.uniform(0.35, 0.75)
        sun = 0.72 + 0.1 * (z_m - 5.0) - 0.07 * y_m + draw.uniform(-0.12, 0.12)
        near = _around(across, up, y_m, z_m, radius + BLUR_M)
        blob = np.clip((radius - np.hypot(across[near] - y_m, up[near] - z_m)) / BLUR_M + 0.5, 0.0, 1.0)
        _layer(tree[near], np.asarray(blob, np.float32), _scaled(leaf, sun))
    return _halved(tree)


def _around(across: Plane, up: Plane, y_m: float, z_m: float, reach_m: float) -> tuple[slice, slice]:
    """Rows and columns of a grid that lie within a square around a place; beyond it nothing is painted."""
    rows = np.flatnonzero(np.abs(up[:, 0] - z_m) <= reach_m)
    columns = np.flatnonzero(np.abs(across[0] - y_m) <= reach_m)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def post_picture() -> Picture:
    """A delineator post: white with a slanted black band."""
    across, up = _grid(16, 96, POST_WIDTH_M, POST_HEIGHT_M)
    post = _empty(across)
    _layer(post, _block(across, up, 0.06, 0.0, 0.98, 0.02), (228.0, 228.0, 224.0))
    band = (np.abs(up - 0.75 - across * 0.4) < 0.13) & (np.abs(across) < 0.06)
    _layer(post, band.astype(np.float32), (30.0, 30.0, 30.0))
    return _halved(post)


def _car_parts(across: Plane, up: Plane) -> tuple[Plane, Plane, Plane]:
    shell = _block(across, up, 0.9, 0.24, 0.98, 0.14)
    half = 0.8 - (up - 0.92) * 0.42
    cabin = np.clip((half - np.abs(across)) / 0.02 + 0.5, 0.0, 1.0) * _block(across, up, 0.9, 0.8, 1.45, 0.16)
    tyre = _block(np.abs(across) - 0.72, up, 0.12, 0.0, 0.5, 0.04)
    return shell, np.asarray(cabin, np.float32), tyre


def _rear_details(rear: Plane, across: Plane, up: Plane) -> None:
    glass = np.clip((0.72 - (up - 0.95) * 0.42 - np.abs(across)) / 0.02 + 0.5, 0.0, 1.0)
    glass = np.asarray(glass, np.float32) * _block(across, up, 0.9, 0.98, 1.36, 0.06)
    _layer(rear, glass, (34.0, 40.0, 48.0))
    gleam = glass * np.clip((across + up * 0.9 - 0.95) * 2.0, 0.0, 0.35)
    _layer(rear, np.asarray(gleam, np.float32), (170.0, 190.0, 205.0))
    _layer(rear, _block(across, up, 0.84, 0.24, 0.4, 0.05), (38.0, 38.0, 40.0))
    _layer(rear, _block(np.abs(across) - 0.7, up, 0.17, 0.67, 0.83, 0.04), (176.0, 20.0, 22.0))
    _layer(rear, _block(np.abs(across) - 0.7, up, 0.1, 0.7, 0.77, 0.03), (246.0, 86.0, 70.0))
    _layer(rear, _block(across, up, 0.27, 0.5, 0.61, 0.01), (226.0, 226.0, 218.0))
    _layer(rear, _block(across, up, 0.5, 0.885, 0.9, 0.01), (20.0, 20.0, 22.0))
    _layer(rear, _block(across, up, 0.12, 1.385, 1.41, 0.01), (150.0, 22.0, 22.0))


def _shade(picture: Plane, up: Plane) -> None:
    """Brighter where the body faces the sky, darker below the boot."""
    picture[..., :3] *= np.interp(up, [0.2, 0.62, 0.95, 1.46], [0.6, 0.88, 1.08, 1.12]).astype(np.float32)[..., None]
    np.minimum(picture[..., :3], 250.0, out=picture[..., :3])


def _grid(columns: int, rows: int, width_m: float, height_m: float) -> tuple[Plane, Plane]:
    """(metres right of the middle, metres above the ground) of each pixel."""
    across = ((np.arange(columns) + 0.5) / columns - 0.5) * width_m
    up = (1.0 - (np.arange(rows) + 0.5) / rows) * height_m
    wide, tall = np.meshgrid(across, up)
    return wide.astype(np.float32), tall.astype(np.float32)


def _block(across: Plane, up: Plane, half_m: float, low_m: float, high_m: float, radius_m: float) -> Plane:
    """Cover of a rounded rectangle, 0..1."""
    beside = np.abs(across) - (half_m - radius_m)
    above = np.abs(up - (low_m + high_m) / 2.0) - ((high_m - low_m) / 2.0 - radius_m)
    distance = np.hypot(np.maximum(beside, 0.0), np.maximum(above, 0.0)) + np.minimum(np.maximum(beside, above), 0.0)
    return np.asarray(np.clip((radius_m - distance) / 0.012 + 0.5, 0.0, 1.0), np.float32)


def _empty(like: Plane) -> Plane:
    return np.zeros((*like.shape, 4), np.float32)


def _layer(picture: Plane, cover: Plane, colour: Colour) -> None:
    """Lay a colour over the picture where `cover` is 1."""
    picture *= 1.0 - cover[..., None]
    picture += cover[..., None] * np.asarray([*colour, 1.0], np.float32)


def _scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(250.0, part * factor) for part in colour)
    return red, green, blue


def _halved(picture: Plane) -> Picture:
    """The picture with its smaller versions, each the mean of 2 x 2 pixels."""
    sizes = [picture]
    while min(sizes[-1].shape[:2]) >= 4:
        last = sizes[-1][: sizes[-1].shape[0] // 2 * 2, : sizes[-1].shape[1] // 2 * 2]
        sizes.append((last[0::2, 0::2] + last[1::2, 0::2] + last[0::2, 1::2] + last[1::2, 1::2]) * np.float32(0.25))
    return sizes


def _sampled(source: Plane, places: Plane) -> Plane:
    """Rows of `source` at places 0..1, linear between rows, fading to nothing over the half row beyond the edges."""
    at = places * source.shape[0] - 0.5
    low = np.floor(at).astype(np.int64)
    part = (at - low)[:, None, None].astype(np.float32)
    last = source.shape[0] - 1
    first = source[np.clip(low, 0, last)] * (1.0 - part)
    result: Plane = first + source[np.clip(low + 1, 0, last)] * part
    result *= (np.abs(places - 0.5) <= 0.5)[:, None, None]
    return result
