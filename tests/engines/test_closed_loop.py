"""The whole sense-and-act circle in one process: world, renderer, network, the reference vehicle's own control laws.

Timing is that of the real vehicle: pictures at 20 Hz that come to the controller 40 ms late, control at 100 Hz.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from cardan.drivers.sim.camera_model import CameraModel
from cardan.drivers.sim.render import Renderer
from cardan.drivers.sim.scene import scene_of
from cardan.drivers.sim.style import Style
from cardan.drivers.sim.world import World, WorldConfig
from cardan.engines.testing import engine_bench
from cardan.runtime.clock import ns
from cardan.runtime.messages import CameraFrame, RoadView, SimTruth
from cardan.runtime.reference.lateral import LateralConfig, advance_path, lane_centre_m, pursue
from cardan.runtime.reference.longitudinal import LeadTracker, LongitudinalConfig, cruise_accel

CONTROL_S = 0.01
FRAME_EVERY = 5
LATENCY_STEPS = 4


class Eyes:
    """Camera and road engine: truth in, view of the road out."""

    def __init__(self) -> None:
        camera = CameraModel()
        self.engine = engine_bench("road", "road_net")
        self._renderer = Renderer(camera, Style())
        self._picture = np.zeros((camera.height, camera.width, 3), np.uint8)
        self._frames = 0

    def see(self, truth: SimTruth) -> RoadView:
        self._renderer.render(scene_of(truth), self._picture)
        self.engine.send("engine.frame", CameraFrame(frame_id=self._frames, image=self._picture))
        self.engine.node.step()
        self._frames += 1
        view: RoadView = self.engine.sent("engine").pop().value
        assert view.status == "ok"
        assert view.lane_probability > 0.5
        return view


@dataclass
class Drive:
    """What happened on the way."""

    offset_m: list[float] = field(default_factory=list)
    gap_m: list[float] = field(default_factory=list)
    gap_error: list[float] = field(default_factory=list)
    missed: int = 0
    ghosts: int = 0


def drive(eyes: Eyes, world: World, seconds: float) -> Drive:
    lateral, longitudinal = LateralConfig(), LongitudinalConfig()
    tracker, result = LeadTracker(longitudinal), Drive()
    waiting: list[tuple[int, RoadView]] = []
    steering = accel = 0.0
    for step in range(round(seconds / CONTROL_S)):
        truth = world.truth()
        if step % FRAME_EVERY == 0:
            waiting.append((step, eyes.see(truth)))
            judge(result, truth, gap_in(waiting[-1][1]))
        if waiting and step - waiting[0][0] == LATENCY_STEPS:
            seen_step, view = waiting.pop(0)
            tracker.measure(ns(seen_step * CONTROL_S), gap_in(view))
        if step >= LATENCY_STEPS:
            centre, age_s = lane_centre_m(view.left_y_m, view.right_y_m), (step - seen_step) * CONTROL_S
            path = advance_path(view.x_m, centre, truth.speed_mps, truth.yaw_rate_radps, age_s)
            steering = pursue(lateral, *path, truth.speed_mps)
            gap_now_m = tracker.gap_now_m(ns(step * CONTROL_S))
            accel = cruise_accel(longitudinal, truth.speed_mps, gap_now_m, tracker.rate_mps)
        world.step(CONTROL_S, steering, accel)
        result.offset_m.append(abs(truth.lane_offset_m))
    return result


def gap_in(view: RoadView) -> float | None:
    return view.lead_gap_m if view.lead_probability >= 0.5 else None


def judge(result: Drive, truth: SimTruth, gap: float | None) -> None:
    if truth.lead_present:
        result.gap_m.append(truth.lead_gap_m)
    if truth.lead_present and truth.lead_gap_m < 50.0:
        if gap is None:
            result.missed += 1
        else:
            result.gap_error.append(abs(gap / truth.lead_gap_m - 1.0))
    elif gap is not None and not truth.lead_present:
        result.ghosts += 1


@pytest.fixture(scope="module")
def eyes() -> Iterator[Eyes]:
    eyes = Eyes()
    yield eyes
    eyes.engine.close()


@pytest.mark.slow
def test_the_network_keeps_the_lane_and_sees_the_lead_for_half_a_minute(eyes: Eyes) -> None:
    """From the lead's cruise over its braking to a stop and off again, on straights and in curves."""
    result = drive(eyes, World(WorldConfig(start_s_m=400.0, lead_time_s=55.0)), 30.0)
    assert np.percentile(result.offset_m, 95) <= 0.25
    assert max(result.offset_m) <= 0.5
    assert np.percentile(result.gap_error, 95) <= 0.10
    assert result.missed <= 0.01 * len(result.gap_error)
    assert result.ghosts == 0
    assert 2.0 < min(result.gap_m) < 5.0
