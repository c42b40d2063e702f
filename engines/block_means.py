"""The mean of each block of pixels of a picture, rounded to the nearest, halves up: in numpy, and compiled.

The compiled kind takes two fifths of the time, and less than a third where other work has emptied the caches meanwhile:
it needs hardly any memory between the picture and the answer, and little code (docs/adr/0041).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cardan.engines.native import compiled

Image = NDArray[np.uint8]

LARGEST_BLOCK = 16
"""Its sum, 16 * 16 * 255 + 128, just fits into 16 bits."""
SIDE_BY_SIDE = (3, 1)
"""Strides within a row of pixels as cameras give them."""


class BlockMeans(Protocol):
    """Shrinks pictures of one size. Not for several threads."""

    def shrink(self, picture: Image, out: Image) -> None:
        """Fill `out`, uint8 (rows, columns, 3), from `picture`, uint8 (rows * block, columns * block, 3).

        The picture may be a part of a larger one.
        """


def block_means(rows: int, columns: int, block: int) -> BlockMeans:
    """What makes (rows, columns) pixels of blocks of `block` x `block` (1 .. 16); compiled where it can be."""
    return NumpyBlockMeans(rows, columns, block) if compiled is None else CompiledBlockMeans(block)


class CompiledBlockMeans:
    """See `csrc/blocks.c`."""

    def __init__(self, block: int) -> None:
        self._block = block

    def shrink(self, picture: Image, out: Image) -> None:
        if picture.strides[1:] != SIDE_BY_SIDE:
            picture = np.ascontiguousarray(picture)
        compiled.block_means(picture, out, self._block)


class NumpyBlockMeans:
    """The same in whole arrays: what costs is how often each number is gone through, and in which order."""

    def __init__(self, rows: int, columns: int, block: int) -> None:
        self._block = block
        self._half, self._size = np.uint16(block**2 // 2), np.uint16(block**2)
        self._rows_sum = np.empty(rows * columns * block * 3, np.uint16)
        self._across = np.empty_like(self._rows_sum)
        self._sum = np.empty((rows * columns, 3), np.uint16)

    def shrink(self, picture: Image, out: Image) -> None:
        block, width = self._block, picture.shape[1]
        lines = picture.reshape(-1, width * 3)
        by_row = self._rows_sum.reshape(-1, width * 3)
        by_row[...] = lines[0::block]
        for row in range(1, block):
            by_row += lines[row::block]
        blocks = self._sums_across().reshape(-1, block * 3)
        for channel in range(3):
            self._sum[:, channel] = blocks[:, channel]
        self._sum += self._half
        self._sum //= self._size
        out[...] = self._sum.reshape(out.shape)

    def _sums_across(self) -> NDArray[np.uint16]:
        """Of `block` pixels beside each other, in place of the first of them.

        They begin at every pixel, also at a row's end, though one in `block` is used: numpy adds whole arrays in memory
        order eight times as fast as lines of them.
        """
        sums, across, block = self._rows_sum, self._across, self._block
        if block == 1:
            return sums
        np.add(sums[:-3], sums[3:], out=across[:-3])
        for column in range(2, block):
            across[: -3 * column] += sums[3 * column :]
        return across
