"""From a camera picture to the network's input: crop, then the mean of each block of pixels, all in integers.

Normalisation lives inside the network, so the input is uint8 and no float copy of the picture is ever made.
"""

from __future__ import annotations

import msgspec
import numpy as np

from cardan.engines.block_means import LARGEST_BLOCK, Image, block_means
from cardan.runtime.errors import ConfigError


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
        if not 1 <= crop.block <= LARGEST_BLOCK or crop.width % crop.block or crop.height % crop.block:
            raise ConfigError(
                f"crop {crop.width} x {crop.height} is no whole number of blocks of {crop.block}",
                hint="choose a crop whose width and height are multiples of the block (1..16)",
            )
        self.crop = crop
        self._means = block_means(crop.height // crop.block, crop.width // crop.block, crop.block)

    def shrink(self, image: Image, out: Image) -> None:
        """Fill `out`, uint8 (height / block, width / block, 3), from `image`, uint8 (height, width, 3)."""
        crop = self.crop
        if (
            image.dtype != np.uint8
            or image.shape[0] < crop.top + crop.height
            or image.shape[1] < crop.left + crop.width
            or image.shape[2:] != (3,)
        ):
            raise ConfigError(
                f"the picture is {image.dtype} {image.shape}, the crop needs {crop.top + crop.height} rows and "
                f"{crop.left + crop.width} columns of RGB in uint8",
                hint="give the engine the camera that its model was trained for",
            )
        part = image[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        self._means.shrink(part, out)
