"""A camera picture in NV12, YUYV or RGB straight into a network's uint8 input: the planes are resized first.

Converting a whole camera picture to find a small one in it is most of the work of the usual way. Here the planes are
sampled at the size of the network, the colours of the few pixels that are left are computed in 16-bit integers, and the
result goes into the bound input. Normalisation is inside the network, so no float picture exists.

A pixel is the camera's pixel nearest to its centre, which for odd factors is what linear interpolation gives as well;
colour is shared by two by two pixels, as in the camera's NV12.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from cardan.runtime.errors import ConfigError

Bytes = NDArray[np.uint8]
Words = NDArray[np.int16]
Where = slice | NDArray[np.intp]
Even = Annotated[int, msgspec.Meta(ge=2, multiple_of=2)]
Offset = Annotated[int, msgspec.Meta(ge=0, multiple_of=2)]

FRACTION_BITS = 6
"""Of the colour terms: the largest, 2.1 * 128 * 64, stays within 16 bits."""
ONE = 1 << FRACTION_BITS
LUMA_BITS = 7
LUMA_STRETCH = np.uint16(149)
"""Limited luma times 149 / 128 = 1.1641 is 255 / 219 to 0.03 %."""
TWICE = np.uint32(0x10001)
"""A 16-bit number times this is the same number twice in 32 bits."""


class Matrix(msgspec.Struct, frozen=True):
    """R = y + red_v * v; G = y - green_u * u - green_v * v; B = y + blue_u * u; u and v around 0 (ITU-R)."""

    red_v: float
    green_u: float
    green_v: float
    blue_u: float


MATRICES = {"bt601": Matrix(1.402, 0.344136, 0.714136, 1.772), "bt709": Matrix(1.5748, 0.187324, 0.468124, 1.8556)}


class PictureSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which camera picture to which input."""

    format: Literal["nv12", "yuyv", "rgb"]
    width: Even
    """Of the camera picture."""
    height: Even
    left: Offset = 0
    """The part that the network sees; by default the whole picture."""
    top: Offset = 0
    crop_width: Even | None = None
    crop_height: Even | None = None
    out_width: Even
    out_height: Even
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    """Of the input: pixels or planes. Planes are written about twice as fast."""
    matrix: Literal["bt601", "bt709"] = "bt601"
    """bt601 is what USB cameras send, bt709 what HD sensors behind an image processor send."""
    full_range: bool = False
    """True: luma is 0..255; False: 16..235, as video is by default."""

    def __post_init__(self) -> None:
        if self.left + self.seen_width > self.width or self.top + self.seen_height > self.height:
            raise ConfigError(
                f"the crop {self.seen_width} x {self.seen_height} at {self.left}, {self.top} does not lie in a picture "
                f"of {self.width} x {self.height}",
                hint="choose left + crop_width and top + crop_height within the picture",
            )
        if self.out_width > self.seen_width or self.out_height > self.seen_height:
            raise ConfigError(
                f"the network's input {self.out_width} x {self.out_height} is larger than what it sees, "
                f"{self.seen_width} x {self.seen_height}",
                hint="pictures are only made smaller: use a larger camera mode, or a smaller network",
            )

    @property
    def seen_width(self) -> int:
        """Columns of the camera that the network sees."""
        return self.crop_width or self.width

    @property
    def seen_height(self) -> int:
        """Rows of the camera that the network sees."""
        return self.crop_height or self.height

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Of the camera picture, uint8."""
        return {
            "nv12": (self.height * 3 // 2, self.width),
            "yuyv": (self.height, self.width * 2),
            "rgb": (self.height, self.width, 3),
        }[self.format]

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Of the network's input, uint8."""
        size = (self.out_height, self.out_width)
        return (1, *size, 3) if self.layout == "NHWC" else (1, 3, *size)


class PictureFiller:
    """Fills one input from camera pictures, without allocating more than small views. Not for several threads."""

    def __init__(self, settings: PictureSettings) -> None:
        self.settings = settings
        height, width = settings.out_height, settings.out_width
        vertical = 2 if settings.format == "nv12" else 1
        self._rows = samples(settings.top, settings.seen_height, height)
        self._columns = samples(settings.left, settings.seen_width, width)
        self._half_rows = samples(settings.top // vertical, settings.seen_height // vertical, height // 2)
        self._half_columns = samples(settings.left // 2, settings.seen_width // 2, width // 2)
        self._colour = Colour(MATRICES[settings.matrix], (height // 2, width // 2), settings.full_range)
        self._luma = np.empty((height, width), np.uint16)
        self._mixed, self._other = (np.empty((height, width), np.int16) for _ in range(2))
        self._shared = (height // 2, 2, width)
        """The picture as pairs of rows that share their colours."""

    def fill(self, frame: Bytes, out: Bytes) -> None:
        """Write `frame` (uint8, `settings.frame_shape`) into `out` (uint8, `settings.out_shape`).

        ConfigError when a shape is another one.
        """
        self._require(frame, self.settings.frame_shape, "the camera's picture")
        self._require(out, self.settings.out_shape, "the network's input")
        if self.settings.format == "rgb":
            self._copy_channels(frame, out)
            return
        self._take_planes(frame)
        if self.settings.layout == "NHWC":
            self._store_pixels(out[0])
        else:
            for channel, plane in enumerate(out[0]):
                np.copyto(plane, self._mix(channel, self._mixed), casting="unsafe")

    def _copy_channels(self, frame: Bytes, out: Bytes) -> None:
        for channel in range(3):
            plane = out[0, ..., channel] if self.settings.layout == "NHWC" else out[0, channel]
            np.copyto(plane, pick(frame[..., channel], self._rows, self._columns))

    def _take_planes(self, frame: Bytes) -> None:
        """Luma at the size of the output; both colours at half its width and height."""
        height = self.settings.height
        if self.settings.format == "nv12":
            pairs = frame[height:].view("<u2")
            self._colour.take(pick(pairs, self._half_rows, self._half_columns), of_u=0, of_v=8)
            luma = frame[:height]
        else:
            self._colour.take(pick(frame.view("<u4"), self._half_rows, self._half_columns), of_u=8, of_v=24)
            luma = frame[:, 0::2]
        np.copyto(self._luma, pick(luma, self._rows, self._columns))
        if not self.settings.full_range:
            self._luma *= LUMA_STRETCH
            self._luma >>= LUMA_BITS

    def _mix(self, channel: int, into: Words) -> Words:
        """Red, green or blue, 0..255."""
        light = self._luma.view(np.int16).reshape(self._shared)
        np.add(light, self._colour.term(channel), out=into.reshape(self._shared))
        np.clip(into, 0, 255, out=into)
        return into

    def _store_pixels(self, pixels: Bytes) -> None:
        """Red and green go as one 16-bit number: what costs is how many numbers are stored three bytes apart."""
        red, green = self._mix(0, self._other), self._mix(1, self._mixed)
        green <<= 8
        green |= red
        pairs = np.ndarray(red.shape, "<u2", pixels, strides=pixels.strides[:2])
        np.copyto(pairs, green.view("<u2"))
        np.copyto(pixels[..., 2], self._mix(2, self._mixed), casting="unsafe")

    def _require(self, array: Bytes, shape: tuple[int, ...], what: str) -> None:
        if array.dtype != np.uint8 or array.shape != shape:
            raise ConfigError(
                f"{what} is {array.dtype} {array.shape}, expected uint8 {shape}",
                hint="width, height and format must be those that the camera really sends",
            )


class Colour:
    """What U and V add to the luma of each channel, one number for two pixels in a row."""

    def __init__(self, matrix: Matrix, shape: tuple[int, int], full_range: bool) -> None:
        stretch = 1.0 if full_range else 255 / 224
        black = 16 * 255 / 219
        self._u, self._v, self._term, self._part = (np.empty(shape, np.int16) for _ in range(4))
        self._doubled = np.empty(shape, np.uint32)
        channels = (
            [(self._v, matrix.red_v)],
            [(self._u, -matrix.green_u), (self._v, -matrix.green_v)],
            [(self._u, matrix.blue_u)],
        )
        self._channels = []
        for channel in channels:
            # Shifting rounds down: the colours by half a grey level on average, limited luma by another half.
            factors = [(plane, round(factor * stretch * ONE)) for plane, factor in channel]
            constant = round((0.5 if full_range else 1.0 - black) * ONE) - 128 * sum(factor for _, factor in factors)
            self._channels.append(([(plane, np.int16(factor)) for plane, factor in factors], np.int16(constant)))

    def take(self, pairs: NDArray[Any], *, of_u: int, of_v: int) -> None:
        """What `term` speaks of from now on: numbers that hold U from bit `of_u` on, and V from `of_v` on."""
        near = np.ascontiguousarray(pairs)
        for plane, shift in ((self._u, of_u), (self._v, of_v)):
            np.copyto(plane, (near >> shift) & 255, casting="unsafe")

    def term(self, channel: int) -> Words:
        """Of red, green or blue, as (rows, 1, columns); valid until the next call.

        Sums may wrap around on the way: the result fits into 16 bits, so it does not matter.
        """
        ((plane, factor), *more), constant = self._channels[channel]
        np.multiply(plane, factor, out=self._term)
        for other, other_factor in more:
            np.multiply(other, other_factor, out=self._part)
            self._term += self._part
        self._term += constant
        self._term >>= FRACTION_BITS
        np.copyto(self._doubled, self._term.view(np.uint16))
        self._doubled *= TWICE
        return self._doubled.view(np.int16)[:, np.newaxis]


def samples(start: int, size: int, count: int) -> Where:
    """Positions of `count` samples, each in the middle of its part of `size`, from `start`; a slice where it can be."""
    if size % count == 0:
        step = size // count
        return slice(start + step // 2, start + size, step)
    return start + ((np.arange(count) * 2 + 1) * size) // (2 * count)


def pick(plane: Bytes, rows: Where, columns: Where) -> Bytes:
    """The plane at these rows and columns: a view where both are slices."""
    part = plane[rows]
    return part[:, columns] if isinstance(columns, slice) else np.take(part, columns, axis=1)
