"""When a node counts as hung."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cardan.runtime.clock import ns
from cardan.runtime.plan import NodePlan
from cardan.runtime.supervise.hang import LOOK_NS, PATIENCE_NS, HangWatch, Steps, limit_ns


def node(rate_hz: float | None) -> NodePlan:
    return NodePlan(name="node", index=0, use="m:C", rate_hz=rate_hz, stepped_by=None if rate_hz else "frame")


class Watched:
    """A node that is looked at every 50 ms."""

    def __init__(self, rate_hz: float | None, fifo: bool = False) -> None:
        self.now_ns = 0
        self.steps = Steps(10, 0, 0)
        self.watch = HangWatch(node(rate_hz), fifo, self.steps, 0)

    def step(self) -> Watched:
        self.steps = Steps(self.steps.number + 1, self.now_ns, self.now_ns + 1)
        assert not self.watch.is_hung(self.steps, self.now_ns)
        return self

    def begin_step(self) -> Watched:
        self.steps = Steps(self.steps.number, self.now_ns + 2, self.steps.end_ns)
        return self

    def silence_until_hung_s(self, limit_s: float = 10.0) -> float:
        begin_ns = self.now_ns
        while self.now_ns - begin_ns < ns(limit_s):
            self.now_ns += LOOK_NS
            if self.watch.is_hung(self.steps, self.now_ns):
                return (self.now_ns - begin_ns) / 1e9
        return float("inf")


@pytest.mark.parametrize(
    ("rate_hz", "fifo", "limit_s"),
    [
        (100, True, 0.1),
        (1000, True, 0.1),
        (50, True, 0.1),
        (100, False, 0.5),
        (20, False, 2),
        (1, True, 5),
        (None, 0, 2),
    ],
)
def test_the_limit_follows_the_rate_and_the_scheduler(rate_hz: float | None, fifo: bool, limit_s: float) -> None:
    assert limit_ns(node(rate_hz), fifo) == ns(limit_s)


def test_the_manifest_may_say_otherwise() -> None:
    assert limit_ns(replace(node(20), hang_limit_s=0.25), fifo=False) == ns(0.25)
    assert limit_ns(replace(node(100), hang_limit_s=0.3), fifo=True) == ns(0.3)


def test_a_node_is_late_before_it_is_hung_and_on_time_when_it_steps() -> None:
    watched = Watched(20).step()  # hung after 2 s
    begin_ns = watched.now_ns
    for silent_s, expected in ((0.5, False), (1.0, False), (1.1, True), (1.9, True)):
        while watched.now_ns + LOOK_NS <= begin_ns + ns(silent_s):
            watched.now_ns += LOOK_NS
            assert not watched.watch.is_hung(watched.steps, watched.now_ns)
        assert watched.watch.is_late is expected
    watched.step()
    assert not watched.watch.is_late


def test_a_realtime_node_is_hung_after_a_tenth_of_a_second() -> None:
    assert 0.1 < Watched(100, fifo=True).step().silence_until_hung_s() <= 0.1 + LOOK_NS / 1e9


def test_a_node_that_steps_is_not_hung() -> None:
    watched = Watched(100, fifo=True)
    for _ in range(100):
        watched.now_ns += LOOK_NS
        watched.step()


def test_a_first_step_may_take_longer() -> None:
    assert Watched(100, fifo=True).silence_until_hung_s() == pytest.approx(PATIENCE_NS / 1e9, abs=LOOK_NS / 1e9)


def test_a_node_that_waits_for_news_is_not_hung() -> None:
    assert Watched(None).step().silence_until_hung_s() == float("inf")


def test_a_node_that_waits_for_news_is_hung_when_a_step_does_not_end() -> None:
    assert 2.0 < Watched(None).step().begin_step().silence_until_hung_s() <= 2.0 + LOOK_NS / 1e9


def test_a_pause_of_the_whole_computer_is_no_hang() -> None:
    watched = Watched(100).step()
    watched.now_ns += ns(30)
    assert not watched.watch.is_hung(watched.steps, watched.now_ns)
    watched.now_ns += LOOK_NS
    watched.step()


def test_a_node_with_a_long_limit_is_looked_at_half_as_often() -> None:
    slow, fast = Watched(100).step().watch, Watched(100, fifo=True).step().watch
    assert (slow.look_every_ns, fast.look_every_ns) == (2 * LOOK_NS, LOOK_NS)
    assert fast.is_due(LOOK_NS)
    assert not slow.is_due(LOOK_NS)
    assert slow.is_due(2 * LOOK_NS)
