from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from cardan.engines.picture import MATRICES, PictureFiller, PictureSettings, samples
from cardan.runtime.errors import ConfigError

DRAW = np.random.default_rng(5)
USUAL: dict[str, Any] = {"width": 48, "height": 36, "out_width": 16, "out_height": 12}


def filled(settings: PictureSettings, frame: np.ndarray) -> np.ndarray:
    """The input as (height, width, 3), whatever its layout."""
    out = np.full(settings.out_shape, 77, np.uint8)
    PictureFiller(settings).fill(frame, out)
    pixels: np.ndarray = out[0] if settings.layout == "NHWC" else out[0].transpose(1, 2, 0)
    return pixels


def frame_of(settings: PictureSettings, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A camera picture from full-size planes, colours shared as the format shares them."""
    frame = np.zeros(settings.frame_shape, np.uint8)
    if settings.format == "nv12":
        frame[: settings.height] = y
        chroma = frame[settings.height :].reshape(settings.height // 2, settings.width // 2, 2)
        chroma[..., 0], chroma[..., 1] = u[::2, ::2], v[::2, ::2]
    else:
        pairs = frame.reshape(settings.height, settings.width // 2, 4)
        pairs[..., 0], pairs[..., 2] = y[:, 0::2], y[:, 1::2]
        pairs[..., 1], pairs[..., 3] = u[:, ::2], v[:, ::2]
    return frame


def converted(y: Any, u: Any, v: Any, matrix: str, full_range: bool) -> np.ndarray:
    """The formula of ITU-R BT.601 and BT.709 in floating point."""
    factors = MATRICES[matrix]
    light, u, v = np.asarray(y, float), np.asarray(u, float) - 128, np.asarray(v, float) - 128
    if not full_range:
        light, u, v = (light - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    red = light + factors.red_v * v
    green = light - factors.green_u * u - factors.green_v * v
    picture: np.ndarray = np.clip(np.stack([red, green, light + factors.blue_u * u], axis=-1), 0, 255)
    return picture


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("kind", ["nv12", "yuyv"])
def test_any_colour_comes_out_as_the_standard_says(kind: str, matrix: str, full_range: bool, layout: str) -> None:
    choice: dict[str, Any] = {"format": kind, "matrix": matrix, "full_range": full_range, "layout": layout}
    settings = PictureSettings(**choice, **USUAL)
    for y, u, v in [(0, 0, 0), (255, 255, 255), (16, 128, 128), (235, 128, 128), *DRAW.integers(0, 256, (40, 3))]:
        planes = (np.full((36, 48), value, np.uint8) for value in (y, u, v))
        found = filled(settings, frame_of(settings, *planes))
        assert (found == found[0, 0]).all()
        assert np.abs(found[0, 0] - converted(y, u, v, matrix, full_range)).max() < 2.0


@pytest.mark.parametrize("kind", ["nv12", "yuyv"])
def test_each_pixel_is_the_one_in_the_middle_of_its_part(kind: str) -> None:
    crop = {"left": 6, "top": 6, "crop_width": 36, "crop_height": 24, "out_width": 12, "out_height": 8}
    settings = PictureSettings(format=kind, full_range=True, **(USUAL | crop))  # type: ignore[arg-type]
    y = DRAW.integers(0, 256, (36, 48), dtype=np.uint8)
    grey = np.full((36, 48), 128, np.uint8)
    found = filled(settings, frame_of(settings, y, grey, grey))
    assert np.array_equal(found[..., 0], y[6:30, 6:42][1::3, 1::3])
    assert np.array_equal(found[..., 1], found[..., 2])


@pytest.mark.parametrize("kind", ["nv12", "yuyv"])
def test_two_by_two_pixels_share_the_colour_of_their_middle(kind: str) -> None:
    settings = PictureSettings(format=kind, full_range=True, **USUAL)  # type: ignore[arg-type]
    light = np.full((36, 48), 100, np.uint8)
    u = np.full((36, 48), 128, np.uint8)
    v = np.repeat(np.repeat(DRAW.integers(100, 150, (6, 8), dtype=np.uint8), 6, axis=0), 6, axis=1)
    found = filled(settings, frame_of(settings, light, u, v)).astype(int)
    wanted = 100 + 1.402 * (np.repeat(np.repeat(v[::6, ::6], 2, axis=0), 2, axis=1).astype(float) - 128)
    assert np.abs(found[..., 0] - wanted).max() < 2.0


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_rgb_is_only_sampled(layout: str) -> None:
    settings = PictureSettings(format="rgb", layout=layout, **USUAL)  # type: ignore[arg-type]
    frame = DRAW.integers(0, 256, (36, 48, 3), dtype=np.uint8)
    frame.flags.writeable = False
    assert np.array_equal(filled(settings, frame), frame[1::3, 1::3])


@given(some.integers(0, 40), some.integers(1, 400), some.data())
def test_samples_lie_in_the_middle_of_equal_parts(start: int, size: int, data: some.DataObject) -> None:
    count = data.draw(some.integers(1, size))
    where = samples(start, size, count)
    found = np.arange(start + size)[where]
    middles = start + (np.arange(count) + 0.5) * size / count
    assert len(found) == count
    assert (np.abs(found + 0.5 - middles) <= 0.5 + 1e-9).all()


def test_a_size_that_does_not_divide_is_sampled_as_well() -> None:
    settings = PictureSettings(format="nv12", width=50, height=38, out_width=16, out_height=12, full_range=True)
    y = np.tile(np.arange(50, dtype=np.uint8), (38, 1))
    grey = np.full((38, 50), 128, np.uint8)
    found = filled(settings, frame_of(settings, y, grey, grey))
    assert np.abs(found[0, :, 0] - ((np.arange(16) + 0.5) * 50 / 16 - 0.5)).max() <= 0.5


def test_a_reused_filler_forgets_the_picture_before() -> None:
    settings = PictureSettings(format="nv12", **USUAL)
    filler = PictureFiller(settings)
    one, other = (DRAW.integers(0, 256, settings.frame_shape, dtype=np.uint8) for _ in range(2))
    out, again = np.zeros(settings.out_shape, np.uint8), np.zeros(settings.out_shape, np.uint8)
    filler.fill(one, out)
    filler.fill(other, again)
    filler.fill(one, again)
    assert np.array_equal(out, again)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"left": 40, "crop_width": 16}, "does not lie in a picture"),
        ({"out_width": 64}, "larger than what it sees"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        PictureSettings(format="nv12", **(USUAL | change))


def test_a_frame_or_an_input_of_another_shape_is_refused() -> None:
    settings = PictureSettings(format="nv12", **USUAL)
    filler = PictureFiller(settings)
    out = np.zeros(settings.out_shape, np.uint8)
    with pytest.raises(ConfigError, match="the camera's picture"):
        filler.fill(np.zeros((36, 48), np.uint8), out)
    with pytest.raises(ConfigError, match="the network's input"):
        filler.fill(np.zeros(settings.frame_shape, np.uint8), out[0])
