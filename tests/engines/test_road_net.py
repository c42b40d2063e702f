"""The shipped network on scenes of the simulated camera, through the engine node."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.render import Renderer
from cardan.drivers.sim.scene import scene_of
from cardan.drivers.sim.style import Style
from cardan.drivers.sim.world import World, WorldConfig
from cardan.engines.host import EngineHost
from cardan.engines.testing import engine_bench
from cardan.runtime.messages import CameraFrame, RoadView, SimTruth
from cardan.runtime.testing import Bench

PLACES_M = (40.0, 430.0, 800.0, 1210.0, 1750.0, 2300.0)


@pytest.fixture(scope="module")
def engine() -> Iterator[Bench[EngineHost]]:
    with engine_bench("road", "road_net") as bench:
        yield bench


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(CameraModel(), Style())


def scene(place_m: float, offset_m: float = 0.0, gap_m: float | None = None) -> SimTruth:
    config = WorldConfig(start_s_m=place_m, start_offset_m=offset_m, lead=gap_m is not None, lead_gap_m=gap_m or 0.0)
    return World(config).truth()


def look(engine: Bench[EngineHost], renderer: Renderer, truth: SimTruth) -> RoadView:
    image = np.zeros((360, 640, 3), np.uint8)
    renderer.render(scene_of(truth), image)
    engine.send("engine.frame", CameraFrame(frame_id=0, image=image))
    engine.node.step()
    view: RoadView = engine.sent("engine")[-1].value
    return view


@pytest.mark.parametrize("offset_m", [-0.6, 0.0, 0.6])
@pytest.mark.parametrize("place_m", PLACES_M)
def test_the_lane_is_where_the_truth_has_it(
    engine: Bench[EngineHost], renderer: Renderer, place_m: float, offset_m: float
) -> None:
    truth = scene(place_m, offset_m)
    view = look(engine, renderer, truth)
    centre = np.interp(view.x_m, truth.centre_x_m, truth.centre_y_m)
    error_m = np.abs((np.asarray(view.left_y_m) + np.asarray(view.right_y_m)) / 2.0 - centre)
    near = np.asarray(view.x_m) <= 20.0
    assert error_m[near].max() < 0.25
    assert error_m.max() < 1.2
    assert view.lead_probability < 0.5


@pytest.mark.parametrize("gap_m", [4.0, 8.0, 15.0, 25.0, 40.0, 60.0])
def test_the_lead_is_where_the_truth_has_it(engine: Bench[EngineHost], renderer: Renderer, gap_m: float) -> None:
    truth = scene(PLACES_M[1], gap_m=gap_m)
    view = look(engine, renderer, truth)
    assert view.lead_probability > 0.5
    assert view.lead_gap_m == pytest.approx(gap_m, rel=0.15)
    assert view.lead_y_m == pytest.approx(truth.lead_y_m, abs=max(0.5, 0.03 * gap_m))  # about a pixel of 192


def test_the_same_picture_gives_the_same_answer(engine: Bench[EngineHost], renderer: Renderer) -> None:
    truth = scene(PLACES_M[2], gap_m=30.0)
    one, other = look(engine, renderer, truth), look(engine, renderer, truth)
    assert (one.left_y_m, one.right_y_m, one.lead_gap_m) == (other.left_y_m, other.right_y_m, other.lead_gap_m)
