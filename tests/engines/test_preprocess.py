from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from cardan.engines import block_means, native
from cardan.engines.preprocess import Crop, Shrinker
from cardan.runtime.errors import ConfigError

ROAD_CROP = Crop(left=32, top=72, width=576, height=288, block=3)


@pytest.fixture(params=["compiled", "numpy"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs with both kinds of what makes the means."""
    if request.param == "numpy":
        monkeypatch.setattr(block_means, "compiled", None)
    elif native.compiled is None:
        pytest.skip("the compiled part is not there: install cardan again with a C compiler and Python's headers")
    name: str = request.param
    return name


def shrunk(crop: Crop, image: np.ndarray) -> np.ndarray:
    out = np.zeros((crop.height // crop.block, crop.width // crop.block, 3), np.uint8)
    Shrinker(crop).shrink(image, out)
    return out


@given(some.integers(1, 16), some.integers(0, 2**32 - 1))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_pixel_is_the_rounded_mean_of_its_block(block: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (4 * block + 3, 5 * block + 2, 3), dtype=np.uint8)
    part = image[3:, 2:].reshape(4, block, 5, block, 3).astype(int).sum(axis=(1, 3))
    wanted = (part + block**2 // 2) // block**2
    assert np.array_equal(shrunk(Crop(left=2, top=3, width=5 * block, height=4 * block, block=block), image), wanted)


@pytest.mark.parametrize("block", range(1, 17))
@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_one_colour_stays_as_it_is(block: int, value: int) -> None:
    image = np.full((block, block, 3), value, np.uint8)
    assert (shrunk(Crop(left=0, top=0, width=block, height=block, block=block), image) == value).all()


def test_a_read_only_picture_is_fine() -> None:
    image = np.full((360, 640, 3), 7, np.uint8)
    image.flags.writeable = False
    assert shrunk(ROAD_CROP, image).shape == (96, 192, 3)


def test_a_picture_may_be_a_view_of_another() -> None:
    image = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), dtype=np.uint8)[::2, ::2, ::-1]
    assert np.array_equal(shrunk(ROAD_CROP, image), shrunk(ROAD_CROP, image.copy()))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.float32])
def test_numbers_of_another_kind_are_refused(dtype: type[np.generic]) -> None:
    with pytest.raises(ConfigError, match=f"the picture is {np.dtype(dtype)} .* in uint8"):
        shrunk(ROAD_CROP, np.zeros((360, 640, 3), dtype))


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(ConfigError, match="the crop needs 360 rows and 608 columns"):
        shrunk(ROAD_CROP, np.zeros((240, 640, 3), np.uint8))


def test_a_grey_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match="RGB"):
        shrunk(ROAD_CROP, np.zeros((360, 640, 1), np.uint8))


@pytest.mark.parametrize(("size", "block"), [(10, 3), (34, 17), (4, 0)])
def test_a_crop_without_whole_blocks_is_refused(size: int, block: int) -> None:
    with pytest.raises(ConfigError, match="whole number of blocks"):
        Shrinker(Crop(left=0, top=0, width=size, height=size, block=block))
