"""Collectors: before and after the condition, each sample once, and a campaign that does not fit is not taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.downlink.collector import Collector
from cardan.runtime.downlink.documents import Collect
from cardan.runtime.errors import CardanError
from cardan.runtime.messages import CameraFrame, Message, SimTruth, VehicleState
from cardan.runtime.testing import blank

TYPES: dict[str, type[Message]] = {"state/vehicle": VehicleState, "camera/frame": CameraFrame, "sim/truth": SimTruth}
S = NS_PER_S


def sample(second: float, speed_mps: float, topic: str = "state/vehicle") -> Sample[Any]:
    state = blank(VehicleState, speed_mps=speed_mps)
    now_ns = round(second * S)
    return Sample(state, topic, 0, 1, now_ns, now_ns, True)


def collector(**fields: Any) -> Collector:
    return Collector(Collect(topics=["state/vehicle"], **fields), TYPES)


def seconds(found: list[Any]) -> list[float]:
    return [item.sample.sent_ns / S for item in found]


def test_without_a_condition_everything_is_kept_at_its_rate() -> None:
    always = collector(rate_hz=1.0)
    chosen = [item for tenth in range(31) for item in always.take(sample(tenth / 10, 0.0))]
    assert seconds(chosen) == [0, 1, 2, 3]


def test_a_condition_keeps_what_was_before_it_and_what_comes_after() -> None:
    fast = collector(when="state/vehicle.speed_mps > 20", before_s=2.0, after_s=1.0)
    chosen = []
    for tenth in range(100):
        chosen += fast.take(sample(tenth / 10, 25.0 if 50 <= tenth < 52 else 5.0))
    assert seconds(chosen) == [tenth / 10 for tenth in range(30, 61)]
    assert fast.fired == 1


@given(st.lists(st.sampled_from([5.0, 25.0]), max_size=80), st.integers(0, 10), st.integers(0, 10))
def test_no_sample_is_kept_twice_and_all_are_near_a_firing(speeds: list[float], before: int, after: int) -> None:
    fast = collector(when="state/vehicle.speed_mps > 20", before_s=before / 10, after_s=after / 10)
    chosen, fired = [], []
    for tenth, speed_mps in enumerate(speeds):
        count = fast.fired
        chosen += seconds(fast.take(sample(tenth / 10, speed_mps)))
        fired += [tenth] if fast.fired > count else []
    tenths = [round(second * 10) for second in chosen]
    expected = {tenth for tenth in range(len(speeds)) if any(at - before <= tenth <= at + after for at in fired)}
    assert sorted(set(tenths)) == sorted(tenths) and set(tenths) == expected


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"topics": ["state/vehicel"]}, 'did you mean "state/vehicle"'),
        ({"topics": ["camera/frame"]}, "pictures"),
        ({"topics": ["state/vehicle"], "when": "state/vehicle.sped_mps > 1"}, "speed_mps"),
        ({"topics": ["state/vehicle"], "when": "state/vehicle.speed_mps >"}, ""),
    ],
)
def test_a_collect_that_does_not_fit_this_vehicle_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(CardanError) as caught:
        Collector(Collect(**fields), TYPES)
    assert text in str(caught.value)
