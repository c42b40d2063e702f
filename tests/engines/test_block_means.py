"""The compiled kind gives what the one in numpy gives, and refuses what would lead it beyond its memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from cardan.engines import native
from cardan.engines.block_means import LARGEST_BLOCK, CompiledBlockMeans, NumpyBlockMeans, block_means

compiled: Any = native.compiled
pytestmark = pytest.mark.skipif(
    compiled is None,
    reason="the compiled part is not there: install cardan again with a C compiler and Python's headers",
)


@given(
    some.integers(1, 9),
    some.integers(1, 40),
    some.integers(1, LARGEST_BLOCK),
    some.integers(0, 2**32 - 1),
    some.sampled_from([1, 256]),
)
def test_both_kinds_give_the_same(rows: int, columns: int, block: int, seed: int, least: int) -> None:
    numbers = np.random.default_rng(seed)
    picture = numbers.integers(least - 1, 256, (rows * block + 2, columns * block + 3, 3), dtype=np.uint8)
    part = picture[1 : 1 + rows * block, 2 : 2 + columns * block]
    one, other = np.zeros((2, rows, columns, 3), np.uint8)
    CompiledBlockMeans(block).shrink(part, one)
    NumpyBlockMeans(rows, columns, block).shrink(part, other)
    assert np.array_equal(one, other)


def test_nothing_is_written_beside_the_answer() -> None:
    around = np.full((5, 6, 3), 7, np.uint8)
    CompiledBlockMeans(2).shrink(np.full((2, 12, 3), 200, np.uint8), around[2:3])
    assert (around[2] == 200).all()
    assert (np.delete(around, 2, axis=0) == 7).all()


def test_it_is_what_engines_get() -> None:
    assert isinstance(block_means(96, 192, 3), CompiledBlockMeans)


PICTURE, OUT = np.zeros((6, 9, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)


@pytest.mark.parametrize(
    ("picture", "out", "block"),
    [
        (PICTURE, OUT, 2),
        (PICTURE, OUT, 0),
        (PICTURE, OUT, -3),
        (np.zeros((34, 51, 3), np.uint8), OUT, 17),
        (PICTURE[:5], OUT, 3),
        (PICTURE[:, :8], OUT, 3),
        (PICTURE[..., :2], OUT[..., :2].copy(), 3),
        (PICTURE[..., ::-1], OUT, 3),
        (np.zeros((6, 9, 3), np.uint16), OUT, 3),
        (PICTURE, np.zeros((2, 3, 3), np.uint16), 3),
        (PICTURE.reshape(-1), OUT, 3),
        (PICTURE, OUT.reshape(-1), 3),
    ],
)
def test_arrays_that_do_not_fit_are_refused(picture: np.ndarray, out: np.ndarray, block: int) -> None:
    with pytest.raises(ValueError, match="expected a picture of whole blocks"):
        compiled.block_means(picture, out, block)


def test_so_are_other_arguments() -> None:
    read_only, strided = OUT.copy(), np.zeros((2, 6, 3), np.uint8)[:, ::2]
    read_only.flags.writeable = False
    for arguments, error in [
        ((), TypeError),
        ((PICTURE, OUT), TypeError),
        ((PICTURE, OUT, "3"), TypeError),
        ((3, OUT, 3), TypeError),
        ((PICTURE, 3, 3), TypeError),
        ((PICTURE, read_only, 3), ValueError),
        ((PICTURE, strided, 3), ValueError),
    ]:
        with pytest.raises(error):
            compiled.block_means(*arguments)
