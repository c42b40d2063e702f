"""From a camera picture to the network's input: crop, then the mean of each block of pixels, all in integers.

Normalisation lives inside the network, so the input is uint8 and no float copy of the picture is ever made.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from cardan.runtime.errors import ConfigError

Image = NDArray[np.uint8]


class Crop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of the picture that the network sees, and how many pixels become one (block x block)."""

    left: int
    top: int
    width: int
    height: int
    block: int


class Shrinker:
    """Crops and shrinks pictures into one preallocated array.

    The mean of a block is rounded to the nearest, halves up. Not for several threads.
    """

    def __init__(self, crop: Crop) -> None:
        if not 1 <= crop.block <= 16 or crop.width % crop.block or crop.height % crop.block:
            raise ConfigError(
                f"crop {crop.width} x {crop.height} is no whole number of blocks of {crop.block}",
                hint="choose a crop whose width and height are multiples of the block (1..16)",
            )
        self.crop = crop
        rows, columns = crop.height // crop.block, crop.width // crop.block
        self._rows_sum = np.empty(rows * crop.width * 3, np.uint16)
        self._across = np.empty_like(self._rows_sum)
        self._sum = np.empty((rows * columns, 3), np.uint16)
        self._half, self._size = np.uint16(crop.block**2 // 2), np.uint16(crop.block**2)

    def shrink(self, image: Image, out: Image) -> None:
        """Fill `out`, uint8 (height / block, width / block, 3), from `image`, uint8 (height, width, 3)."""
        crop, block = self.crop, self.crop.block
        if (
            image.shape[0] < crop.top + crop.height
            or image.shape[1] < crop.left + crop.width
            or image.shape[2:] != (3,)
        ):
            raise ConfigError(
                f"the picture is {image.shape}, the crop needs {crop.top + crop.height} rows and "
                f"{crop.left + crop.width} columns of RGB",
                hint="give the engine the camera that its model was trained for",
            )
        part = image[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        lines = part.reshape(crop.height, crop.width * 3)
        by_row = self._rows_sum.reshape(-1, crop.width * 3)
        by_row[...] = lines[0::block]
        for row in range(1, block):
            by_row += lines[row::block]
        # Sums across begin at every pixel, also at a row's end, though one in `block` is used: numpy adds whole arrays
        # in memory order eight times as fast as lines of them.
        sums = across = self._rows_sum
        if block > 1:
            across = self._across
            np.add(sums[:-3], sums[3:], out=across[:-3])
        for column in range(2, block):
            across[: -3 * column] += sums[3 * column :]
        blocks = across.reshape(-1, block * 3)
        for channel in range(3):
            self._sum[:, channel] = blocks[:, channel]
        self._sum += self._half  # at most 16 * 16 * 255 + 128: within 16 bits
        self._sum //= self._size
        out[...] = self._sum.reshape(out.shape)
