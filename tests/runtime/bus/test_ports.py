from __future__ import annotations

import numpy as np
import pytest

from cardan.runtime.bus.codec import MessageEncoder
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.envelope import pack
from cardan.runtime.errors import BusError, NodeError
from cardan.runtime.messages import CameraFrame, Message
from cardan.runtime.node import Input, Metric, Node, Output
from cardan.runtime.testing import Bench
from cardan.runtime.vitals import SeriesKind, SeriesVitals


class Count(Message, frozen=True, kw_only=True):
    n: int


class Wide(Message, frozen=True, kw_only=True):
    n: float


class Relay(Node):
    """Sends on what it reads."""

    newest = Input(Count, max_age_s=0.05)
    waiting = Input(Count, queue=3)
    spare = Input(Count, optional=True, min_rate_hz=50.0)
    out = Output(Count)
    picture = Output(CameraFrame)
    seen = Metric("count")

    def step(self) -> None:
        if self.newest.fresh:
            self.out.send(Count(n=self.newest.value.n))
            self.seen.observe(1)


def counters(bench: Bench[Relay], port: str) -> dict[str, int]:
    series = next(s for p, s in zip(bench.node_vitals.plans, bench.node_vitals.series, strict=True) if p.name == port)
    return {
        "count": series.words[series.COUNT],
        "lost": series.words[series.LOST],
        "overtaken": series.words[series.OVERTAKEN],
        "dropped": series.words[series.DROPPED],
    }


def test_before_anything_arrives_an_input_is_not_fresh() -> None:
    with Bench(Relay) as bench:
        node = bench.node
        assert not node.newest.fresh
        assert not node.newest.valid
        assert node.newest.value_or_none is None
        assert node.newest.age_s == float("inf")
        assert (node.newest.seq, node.newest.origin_ns, node.newest.sent_ns) == (-1, 0, 0)
        with pytest.raises(NodeError, match="newest has no value yet"):
            node.newest.value  # noqa: B018 - the access is what is tested


def test_the_newest_value_wins_and_the_overtaken_ones_are_counted() -> None:
    with Bench(Relay) as bench:
        for n in range(3):
            bench.send("newest", Count(n=n))
        assert bench.node.newest.value.n == 2
        assert counters(bench, "newest") == {"count": 3, "lost": 0, "overtaken": 2, "dropped": 0}


def test_a_value_is_stale_after_its_age_limit() -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=1))
        bench.clock.advance_s(0.05)
        assert bench.node.newest.fresh
        bench.clock.advance_s(0.001)
        assert not bench.node.newest.fresh
        assert bench.node.newest.age_s == pytest.approx(0.051)


@pytest.mark.parametrize(("ahead_s", "fresh"), [(0.09, True), (0.11, False), (3600.0, False)])
def test_a_value_from_a_future_that_cannot_be_is_not_fresh(ahead_s: float, fresh: bool) -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=1))
        bench.clock.advance_ns(-round(ahead_s * 1e9))
        assert bench.node.newest.fresh is fresh


def test_a_queue_keeps_order_drops_the_oldest_and_counts_it() -> None:
    with Bench(Relay) as bench:
        for n in range(5):
            bench.send("waiting", Count(n=n))
        assert [sample.value.n for sample in bench.node.waiting.take()] == [2, 3, 4]
        assert bench.node.waiting.take() == []
        assert counters(bench, "waiting")["dropped"] == 2


def test_a_gap_in_the_sequence_is_counted_as_lost() -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=0))
        bench._sequences["bench/newest"] = 4
        bench.send("newest", Count(n=4))
        assert bench.node.newest.lost == 3
        assert bench.node.newest.received == 2


def test_what_a_restarted_publisher_sent_before_the_reader_heard_it_is_lost() -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=0))
        encoder = MessageEncoder(Count)
        for seq in (2, 3):
            message = pack(seq, 1, 1, encoder.schema, 2, valid=True) + encoder.encode(Count(n=seq))
            bench.wire.deliver("bench/newest", message)
        assert bench.node.newest.lost == 2


def test_an_output_inherits_validity_and_origin_of_its_inputs() -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=1), valid=False, origin_ns=42)
        bench.step()
        sample = bench.sent("out")[0]
        assert not sample.valid
        assert sample.origin_ns == 42


def test_an_output_may_say_its_own_validity_and_origin() -> None:
    with Bench(Relay) as bench:
        bench.node.out.send(Count(n=1), valid=True, origin_ns=7)
        assert (bench.sent("out")[0].valid, bench.sent("out")[0].origin_ns) == (True, 7)


def test_another_type_under_the_same_topic_is_refused() -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=1))
        node_wire = bench.wire
        encoder = MessageEncoder(Wide)
        message = pack(1, 1, 1, encoder.schema, 1, valid=True) + encoder.encode(Wide(n=1.5))
        with pytest.raises(BusError, match="another message type"):
            node_wire.deliver("bench/newest", message)


def test_a_port_used_before_the_start_says_what_to_do() -> None:
    with pytest.raises(NodeError, match=r"Relay.newest was used before the node was started"):
        Relay().newest  # noqa: B018 - the access is what is tested


def test_a_frame_is_filled_in_its_slot_and_read_back() -> None:
    with Bench(Relay) as bench:
        with bench.node.picture.slot((2, 2, 3), np.uint8) as image:
            image[...] = 5
        bench.node.picture.send(CameraFrame(frame_id=1, image=image))
        assert (bench.sent("picture")[0].value.image == 5).all()


def test_a_metric_keeps_count_and_sum_in_its_unit() -> None:
    with Bench(Relay) as bench:
        bench.node.seen.observe(1.5)
        bench.node.seen.observe(-0.25)
        assert bench.metric("seen") == (2, 1.75)


def test_what_is_withdrawn_is_not_valid_any_more_and_no_new_message() -> None:
    with Bench(Relay) as bench:
        bench.node.out.withdraw()
        assert bench.sent("out") == [], "nothing was said yet"
        bench.node.out.send(Count(n=4), valid=True)
        bench.node.out.withdraw()
        first, again = bench.sent("out")
        assert (first.valid, again.valid) == (True, False)
        assert (again.seq, again.sent_ns, again.value) == (first.seq, first.sent_ns, first.value)


@pytest.mark.parametrize("passed", [None, Passed(1, 0, 0)], ids=["zmq", "ring"])
def test_a_reader_of_a_withdrawn_message_keeps_its_value_and_no_queue_gets_it_twice(passed: Passed | None) -> None:
    with Bench(Relay) as bench:
        encoder = MessageEncoder(Count)
        for port in ("newest", "waiting"):
            bench.send(port, Count(n=7))
            now_ns = bench.clock.now_ns()
            again = pack(0, now_ns, now_ns, encoder.schema, 1, valid=False)
            bench.wire.deliver(f"bench/{port}", again + encoder.encode(Count(n=7)), passed)
        assert bench.node.newest.fresh and not bench.node.newest.valid
        assert bench.node.newest.value.n == 7
        assert [sample.value.n for sample in bench.node.waiting.take()] == [7]
        assert counters(bench, "waiting")["count"] == 1
        bench.send("newest", Count(n=8))
        assert bench.node.newest.valid


def test_what_another_computer_has_sent_keeps_its_age() -> None:
    with Bench(Relay) as bench:
        earlier_ns = bench.clock.now_ns() - 40_000_000
        bench.node.out.send(Count(n=1), sent_ns=earlier_ns)
        assert bench.sent("out")[0].sent_ns == bench.sent("out")[0].origin_ns == earlier_ns


def test_news_last_until_the_step_is_done() -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=1))
        assert bench.node.newest.new
        bench.step()
        assert not bench.node.newest.new


def test_an_optional_input_may_stay_unwired() -> None:
    with Bench(Relay) as bench:
        assert bench.node.spare.wired


def test_a_waiting_message_that_cannot_be_read_is_left_out_and_counted() -> None:
    with Bench(Relay) as bench:
        bench.send("waiting", Count(n=1))
        topic, header, _ = bench.node.waiting._queue[0]
        bench.node.waiting._queue.append((topic, header, b"\xc1"))
        bench.send("waiting", Count(n=2))
        assert [sample.value.n for sample in bench.node.waiting.take()] == [1, 2]
        assert counters(bench, "waiting")["dropped"] == 1


def test_a_reader_is_told_that_its_publisher_was_restarted() -> None:
    with Bench(Relay) as bench:
        bench.send("newest", Count(n=1))
        assert (bench.node.newest.restarts, bench.node.newest.restarted) == (0, False)
        bench.send("newest", Count(n=2), epoch=2)
        assert (bench.node.newest.restarts, bench.node.newest.restarted) == (1, True)
        bench.step()
        assert (bench.node.newest.restarts, bench.node.newest.restarted) == (1, False)
        bench.send("newest", Count(n=3), epoch=2)
        assert not bench.node.newest.restarted
        bench.send("newest", Count(n=4), epoch=5)
        assert bench.node.newest.restarts == 2
        assert bench.node.waiting.restarts == 0


def test_a_restarted_publisher_loses_nothing_by_counting_from_zero_again() -> None:
    with Bench(Relay) as bench:
        for epoch in (1, 2):
            for n in range(3):
                bench.send("newest", Count(n=n), epoch=epoch)
        assert bench.node.newest.lost == 0
        series = bench.node_vitals.find(SeriesKind.INPUT, "newest")
        assert series is not None
        assert series.words[SeriesVitals.RESTARTS] == 1


def test_the_worst_age_of_an_input_at_the_start_of_a_step_is_kept() -> None:
    with Bench(Relay) as bench:
        series = bench.node_vitals.find(SeriesKind.INPUT, "newest")
        assert series is not None
        bench.node.newest.step_begins(bench.clock.now_ns())
        assert series.words[SeriesVitals.WORST_AGE_NS] == 0
        for age_s in (0.02, 0.3, 0.1):
            bench.send("newest", Count(n=1))
            bench.clock.advance_s(age_s)
            bench.node.newest.step_begins(bench.clock.now_ns())
        assert series.words[SeriesVitals.WORST_AGE_NS] == 300_000_000


def test_an_input_that_comes_too_seldom_is_not_rate_ok() -> None:
    with Bench(Relay) as bench:
        assert not bench.node.spare.rate_ok
        assert bench.node.newest.rate_ok, "no rate is asked for"
        for _ in range(3):
            bench.send("spare", Count(n=1))
            bench.clock.advance_s(0.01)
        assert bench.node.spare.rate_hz == pytest.approx(100.0)
        assert bench.node.spare.rate_ok
        bench.clock.advance_s(0.5)
        assert not bench.node.spare.rate_ok


def test_a_newest_message_that_cannot_be_read_is_dropped_and_the_input_is_not_fresh() -> None:
    with Bench(Relay) as bench:
        encoder = MessageEncoder(Count)
        bench.wire.deliver("bench/newest", pack(0, bench.clock.now_ns(), 1, encoder.schema, 1, valid=True) + b"\xc1")
        assert not bench.node.newest.fresh
        assert bench.node.newest.value_or_none is None
        assert counters(bench, "newest")["dropped"] == 1
