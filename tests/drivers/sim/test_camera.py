from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cardan.drivers.sim.camera import SimCamera
from cardan.drivers.sim.world import World, WorldConfig
from cardan.runtime.testing import Bench


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench[SimCamera]]:
    with Bench(SimCamera) as bench:
        yield bench


def test_without_a_world_there_is_no_picture(bench: Bench[SimCamera]) -> None:
    before = len(bench.sent("frame"))
    bench.clock.advance_s(1.0)
    bench.step()
    assert len(bench.sent("frame")) == before


def test_it_takes_a_picture_of_the_newest_truth(bench: Bench[SimCamera]) -> None:
    bench.send("truth", World(WorldConfig()).truth())
    bench.step()
    taken = bench.sent("frame")[-1]
    assert taken.valid
    assert taken.origin_ns == bench.clock.now_ns()
    assert taken.value.image.shape == (360, 640, 3)
    assert taken.value.image.dtype == np.uint8
    assert taken.value.image.std() > 20.0


def test_frames_count_up_by_one(bench: Bench[SimCamera]) -> None:
    for _ in range(2):
        bench.send("truth", World(WorldConfig()).truth())
        bench.step()
    first, second = bench.sent("frame")[-2:]
    assert second.value.frame_id == first.value.frame_id + 1


def test_a_world_that_stands_still_gives_no_new_picture(bench: Bench[SimCamera]) -> None:
    bench.send("truth", World(WorldConfig()).truth())
    bench.step()
    before = len(bench.sent("frame"))
    bench.step(count=3)
    assert len(bench.sent("frame")) == before + 1  # 100 ms after the last truth it is stale


def test_it_says_once_where_it_sits_and_how_it_sees(bench: Bench[SimCamera]) -> None:
    said = bench.sent("calibration")
    assert len(said) == 1
    assert (said[0].value.width_px, said[0].value.height_px) == (640, 360)
