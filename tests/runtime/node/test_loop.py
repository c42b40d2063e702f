import gc
import itertools
from collections.abc import Callable

import pytest

from cardan.runtime.clock import FakeClock, ns
from cardan.runtime.messages import Message
from cardan.runtime.node import Input, Node
from cardan.runtime.node.loop import Loop, StopFlag, StopRequested
from cardan.runtime.plan import ANY_INPUT
from cardan.runtime.testing import Bench
from cardan.runtime.vitals import NodeVitals, SeriesKind, SeriesVitals


class Tick(Message, frozen=True, kw_only=True):
    n: int


class Recorder(Node):
    """Notes when it is stepped; each step takes as long as it is told."""

    tick = Input(Tick, optional=True)

    def open(self) -> None:
        self.starts_ns: list[int] = []
        self.durations_s: dict[int, float] = {}
        self.limit = 5

    def step(self) -> None:
        clock = self.clock
        if not isinstance(clock, FakeClock):
            raise TypeError
        self.starts_ns.append(clock.now_ns())
        clock.advance_s(self.durations_s.get(len(self.starts_ns), 0.001))
        if len(self.starts_ns) >= self.limit:
            self.finish()


def loop_of(
    bench: Bench[Recorder],
    *,
    rate_hz: float | None = 100.0,
    stepped_by: str | None = None,
    wait: Callable[[int], list[int]] | None = None,
    stop: StopFlag | None = None,
    realtime: bool = False,
    look_every_ns: int = 0,
    phase_ns: int | None = None,
) -> Loop:
    def idle(timeout_ms: int) -> list[int]:
        bench.clock.advance_ns(timeout_ms * 1_000_000)
        return []

    return Loop(
        bench.node,
        bench.node_vitals,
        bench.clock,
        rate_hz=rate_hz,
        stepped_by=stepped_by,
        drain=lambda: None,
        wait=wait or idle,
        stop=stop or StopFlag(),
        realtime=realtime,
        look_every_ns=look_every_ns,
        phase_ns=phase_ns,
    )


def periods_ms(node: Recorder) -> list[float]:
    return [(b - a) / 1e6 for a, b in zip(node.starts_ns, node.starts_ns[1:], strict=False)]


def test_steps_stand_on_absolute_deadlines() -> None:
    with Bench(Recorder) as bench:
        bench.node.durations_s = {2: 0.004}
        loop_of(bench, realtime=True).run()
        assert periods_ms(bench.node) == [10.0] * 4
        assert bench.node_vitals.words[NodeVitals.STEPS] == 5
        assert bench.node_vitals.words[NodeVitals.WORST_STEP_NS] == ns(0.004)


@pytest.mark.parametrize(("begins_ms", "first_ms"), [(0, 2), (2, 2), (3, 12), (11, 12), (12, 12), (19, 22)])
def test_a_node_with_a_phase_steps_so_long_behind_the_grid_of_its_period(begins_ms: int, first_ms: int) -> None:
    with Bench(Recorder) as bench:
        grid_ns = bench.clock.now_ns()
        assert grid_ns % ns(0.01) == 0
        bench.clock.advance_ns(begins_ms * 1_000_000)
        loop_of(bench, realtime=True, phase_ns=ns(0.002)).run()
        assert periods_ms(bench.node) == [10.0] * 4
        assert bench.node.starts_ns[0] - grid_ns == first_ms * 1_000_000


def test_a_stall_of_300_ms_costs_exactly_the_missed_cycles_and_no_burst() -> None:
    with Bench(Recorder) as bench:
        bench.node.durations_s = {2: 0.300}
        loop_of(bench).run()
        assert periods_ms(bench.node) == [10.0, 300.0, 10.0, 10.0]
        words = bench.node_vitals.words
        assert (words[NodeVitals.OVERRUNS], words[NodeVitals.MISSED]) == (1, 29)


def test_a_step_longer_than_its_period_is_an_overrun() -> None:
    with Bench(Recorder) as bench:
        bench.node.durations_s = {3: 0.012}
        loop_of(bench).run()
        words = bench.node_vitals.words
        assert (words[NodeVitals.OVERRUNS], words[NodeVitals.MISSED]) == (1, 0)
        assert periods_ms(bench.node) == [10.0, 10.0, 12.0, 8.0]


def test_lateness_is_counted_once_a_step() -> None:
    with Bench(Recorder) as bench:
        loop_of(bench).run()
        assert sum(bench.node_vitals.lateness.counts()) == 5


def test_a_stop_request_ends_the_loop_before_the_next_step() -> None:
    with Bench(Recorder) as bench:
        stop = StopFlag()
        stop.requested = True
        loop_of(bench, stop=stop).run()
        assert bench.node.starts_ns == []


def test_a_stop_request_interrupts_a_wait_at_once() -> None:
    with Bench(Recorder) as bench:
        stop = StopFlag()

        def wait(_: int) -> list[int]:
            stop.request()
            return []

        loop_of(bench, rate_hz=None, stepped_by="tick", wait=wait, stop=stop).run()
        assert stop.requested
        assert bench.node.starts_ns == []


def test_a_stop_request_during_a_step_lets_it_finish() -> None:
    stop = StopFlag()
    stop.request()
    assert stop.requested
    stop.waiting = True
    with pytest.raises(StopRequested):
        stop.request()


def test_a_node_stepped_by_an_input_waits_for_news() -> None:
    with Bench(Recorder) as bench:
        bench.node.limit = 3
        waits = 0

        def wait(timeout_ms: int) -> list[int]:
            nonlocal waits
            waits += 1
            bench.clock.advance_ns(timeout_ms * 1_000_000)
            if waits % 2 == 0:
                bench.send("tick", Tick(n=waits))
            return []

        loop_of(bench, rate_hz=None, stepped_by="tick", wait=wait).run()
        assert len(bench.node.starts_ns) == 3
        assert waits == 6


def test_a_node_may_be_stepped_by_any_input() -> None:
    with Bench(Recorder) as bench:
        bench.node.limit = 2

        def wait(timeout_ms: int) -> list[int]:
            bench.send("tick", Tick(n=1))
            return []

        loop_of(bench, rate_hz=None, stepped_by=ANY_INPUT, wait=wait).run()
        assert len(bench.node.starts_ns) == 2


def test_a_node_that_has_not_done_all_is_stepped_again_without_waiting() -> None:
    with Bench(Recorder) as bench:
        waits: list[int] = []

        def wait(timeout_ms: int) -> list[int]:
            waits.append(timeout_ms)
            if len(waits) == 2:
                bench.send("tick", Tick(n=1))
            return []

        bench.node.limit = 2
        bench.node.step_again()
        loop_of(bench, rate_hz=None, stepped_by="tick", wait=wait).run()
        assert waits[0] == 0
        assert len(bench.node.starts_ns) == 2


def test_a_node_stepped_by_an_input_is_stepped_at_its_rate_when_nothing_comes() -> None:
    with Bench(Recorder) as bench:
        loop_of(bench, rate_hz=50.0, stepped_by="tick").run()
        assert min(periods_ms(bench.node)) >= 20.0
        assert len(bench.node.starts_ns) == 5


def test_a_node_that_waits_for_news_is_not_woken_up_before_it_is_due() -> None:
    with Bench(Recorder) as bench:
        bench.node.durations_s = dict.fromkeys(range(1, 6), 0.0004)
        waits: list[int] = []

        def wait(timeout_ms: int) -> list[int]:
            waits.append(timeout_ms)
            bench.clock.advance_ns(timeout_ms * 1_000_000)
            return []

        loop_of(bench, rate_hz=50.0, stepped_by="tick", wait=wait).run()
        assert len(waits) == len(bench.node.starts_ns)
        assert min(periods_ms(bench.node)) >= 20.0


def test_a_readable_descriptor_steps_the_node() -> None:
    with Bench(Recorder) as bench:
        bench.node.wake_on(7)

        def wait(_: int) -> list[int]:
            bench.clock.advance_ns(1_000_000)
            return [7]

        loop_of(bench, rate_hz=None, wait=wait).run()
        assert len(bench.node.starts_ns) == 5


def test_a_slow_node_looks_at_its_bus_between_steps_where_the_transport_wants_that() -> None:
    with Bench(Recorder) as bench:
        looks: list[int] = []
        loop = loop_of(bench, rate_hz=2.0, look_every_ns=20_000_000)
        loop._drain = lambda: looks.append(bench.clock.now_ns())
        loop.run()
        assert max(b - a for a, b in itertools.pairwise(looks)) <= 21_000_000


def test_a_slow_node_sleeps_through_where_it_need_not_look() -> None:
    with Bench(Recorder) as bench:
        looks: list[int] = []
        loop = loop_of(bench, rate_hz=2.0)
        loop._drain = lambda: looks.append(bench.clock.now_ns())
        loop.run()
        assert len(looks) == len(bench.node.starts_ns)
        assert periods_ms(bench.node) == [500.0] * 4


def test_each_step_notes_how_old_its_inputs_were() -> None:
    with Bench(Recorder) as bench:
        bench.node.limit = 2
        bench.send("tick", Tick(n=1))
        bench.clock.advance_s(0.05)
        loop_of(bench).run()
        series = bench.node_vitals.find(SeriesKind.INPUT, "tick")
        assert series is not None
        assert series.words[SeriesVitals.WORST_AGE_NS] == ns(0.06)


def test_a_real_time_loop_keeps_the_collector_out_of_the_step_and_says_so() -> None:
    for realtime in (True, False):
        with Bench(Recorder) as bench:
            try:
                loop_of(bench, realtime=realtime).run()
                assert bench.node_vitals.words[NodeVitals.COLLECTS] == (not realtime)
            finally:
                gc.enable()


def test_begin_and_end_of_each_step_are_kept_in_the_vitals() -> None:
    with Bench(Recorder) as bench:
        bench.node.durations_s = {2: 0.004}
        loop_of(bench).run()
        steps = bench.node_vitals.log.steps()
        assert [step.start_ns for step in steps] == bench.node.starts_ns
        assert [(step.end_ns - step.start_ns) // 1_000_000 for step in steps] == [1, 4, 1, 1, 1]
        assert [step.number for step in steps] == [0, 1, 2, 3, 4]
