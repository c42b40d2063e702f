"""What every transport promises, tested on each of them through the ports that a node holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardan.runtime.bus.ends import PublishingEnd, ReadingEnd
from cardan.runtime.bus.local import LocalBus
from cardan.runtime.bus.ring_ends import WakeFds, create_rings
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import BusError
from cardan.runtime.messages import CameraFrame, Message, type_name
from cardan.runtime.node import Input, Node, Output
from cardan.runtime.node.ends import NodeBus
from cardan.runtime.node.wiring import Wire, make_context
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import NodeVitals, SeriesKind, SeriesVitals, Vitals, create_vitals, open_vitals

TRANSPORTS = ("ring", "ring in python", "zmq", "local")
WITHIN_S = 5.0


class Count(Message, frozen=True, kw_only=True):
    n: int
    text: str = ""


class Other(Message, frozen=True, kw_only=True):
    n: int
    text: str = ""


class Source(Node):
    count = Output(Count)
    spare = Output(Count)
    settings = Output(Count, latched=True)
    picture = Output(CameraFrame)


class Sink(Node):
    stepped_by = "newest"
    newest = Input(Count, max_age_s=10.0)
    every = Input(Count, queue=50)
    settings = Input(Count)
    picture = Input(CameraFrame)


class Mistaken(Node):
    newest = Input(Other)


def plan_of(transport: str, sink: type[Node]) -> Plan:
    """`source` and `sink`, every input wired to the output of its name (newest and every: to count)."""
    wires = {
        "newest": "source/count",
        "every": "source/count",
        "settings": "source/settings",
        "picture": "source/picture",
    }
    inputs = [
        InputPlan(port=port, topics=[wires[port]], max_age_s=spec.max_age_s, queue=spec.queue)
        for port, spec in sink.ports().inputs.items()
    ]
    outputs = [
        OutputPlan(port=port, topic=f"source/{port}", type=type_name(spec.type), latched=spec.latched)
        for port, spec in Source.ports().outputs.items()
    ]
    nodes = [
        NodePlan(name="source", index=0, use="", outputs=outputs),
        NodePlan(name="sink", index=1, use="", inputs=inputs, stepped_by=sink.stepped_by),
    ]
    profile = Profile(name="test")
    return Plan(
        name="contract",
        manifest="",
        manifest_sha256="",
        profile=profile,
        envelope={},
        envelope_hash="",
        nodes=nodes,
        bus=transport,
        ring_bytes=1 << 16,
    )


class Rig:
    """A source and a sink in this process, each as its own process would be: with ends, wire and vitals of its own."""

    def __init__(self, transport: str, folder: Path, closing: ExitStack, sink: type[Node] = Sink) -> None:
        self.plan = plan_of(transport, sink)
        self.clock = MonotonicClock()
        self.paths = RunPaths(folder, folder)
        self.local = LocalBus()
        self.sink_class = sink
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        closing.callback(os.close, self.wake_fd)
        for name in ("bus", "frames"):
            (folder / name).mkdir()
        page = create_vitals(self.paths.vitals, self.plan, now_ns=1, wall_ns=1)
        for vitals in page.nodes.values():
            vitals.words[NodeVitals.PID] = os.getpid()
        if transport == "ring":
            create_rings(self.plan, self.paths.bus)
        self.page: Vitals = page

    def start(self, name: str, node_class: type[Node], epoch: int = 1) -> Running:
        return Running(self, name, node_class, epoch)

    def source(self, epoch: int = 1) -> Running:
        return self.start("source", Source, epoch)

    def sink(self, epoch: int = 1) -> Running:
        return self.start("sink", self.sink_class, epoch)

    def counters(self, port: str) -> dict[str, int]:
        series = self.page.nodes["sink"].find(SeriesKind.INPUT, port)
        assert series is not None
        names = ("COUNT", "LOST", "OVERTAKEN", "DROPPED", "LATE", "TORN", "RESTARTS")
        return {name.lower(): series.words[getattr(SeriesVitals, name)] for name in names}


class Running:
    """One start of one node."""

    def __init__(self, rig: Rig, name: str, node_class: type[Node], epoch: int) -> None:
        self.rig = rig
        page = open_vitals(rig.paths.vitals, rig.plan, writable=True)
        plan = rig.plan.node(name)
        self.node: Any = node_class()
        frames = None if rig.plan.bus == "local" else rig.paths.frames
        self.wire = Wire(rig.plan, plan, page, rig.clock, frames)
        self.closing = ExitStack()
        self.closing.callback(self.wire.close)
        wake = WakeFds(own=rig.wake_fd if name == "sink" else None, readers={"sink": rig.wake_fd})
        self.bus = NodeBus(rig.plan, name, rig.paths, epoch, wake)
        try:
            self.publisher: PublishingEnd = self._publisher(self.wire.schemas(node_class))
            self.wire.connect(self.node, make_context(rig.plan, name, rig.paths, page), self.publisher.send, epoch)
            self.subscriber: ReadingEnd = self._subscriber()
        except BaseException:
            self.close()
            raise

    def _publisher(self, outputs: dict[str, int]) -> PublishingEnd:
        if self.rig.plan.bus != "local":
            return self.closing.enter_context(self.bus.publisher(outputs))
        latched = [topic for topic, output in self.rig.plan.topics().items() if output.latched]
        end = self.rig.local.publisher(self.bus.node, outputs, latched)
        self.closing.callback(end.close)
        return end

    def _subscriber(self) -> ReadingEnd:
        if self.rig.plan.bus != "local":
            return self.closing.enter_context(self.bus.subscriber(self.wire.subscriptions()))
        end = self.rig.local.subscriber(self.wire.subscriptions())
        self.closing.callback(end.close)
        return end

    def drain(self) -> int:
        return self.subscriber.drain(self.wire.deliver)

    def until(self, what: Callable[[], object], other: Running | None = None) -> None:
        """Drain until a condition holds, while the other side attends to its readers."""
        deadline_ns = self.rig.clock.now_ns() + round(WITHIN_S * 1e9)
        while True:
            self.drain()
            if what():
                return
            assert self.rig.clock.now_ns() < deadline_ns, "waited in vain"
            if other is not None:
                other.publisher.serve()
            self.subscriber.wait(0.005)

    def step_done(self) -> None:
        for name in type(self.node).ports().inputs:
            getattr(self.node, name).step_done()

    def close(self) -> None:
        self.closing.close()


@pytest.fixture(params=TRANSPORTS)
def make(request: pytest.FixtureRequest, use_python_parts: Callable[[], None]) -> Iterator[Callable[..., Rig]]:
    """Makes rigs on one transport, in folders with short paths (a socket's path has 107 bytes)."""
    transport, _, in_python = request.param.partition(" in ")
    if in_python:
        use_python_parts()
    with ExitStack() as closing:

        def build(sink: type[Node] = Sink) -> Rig:
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="cc-")))
            return Rig(transport, folder, closing, sink)

        yield build


@pytest.fixture
def rig(make: Callable[..., Rig]) -> Rig:
    return make()


@pytest.fixture
def pair(rig: Rig) -> Iterator[tuple[Running, Running]]:
    """A source whose sink is listening."""
    with ExitStack() as closing:
        sink = rig.sink()
        closing.callback(sink.close)
        source = rig.source()
        closing.callback(source.close)
        expected = {b"source/count": 1, b"source/settings": 1, b"source/picture": 1}
        assert source.publisher.wait_for_readers(expected, rig.clock, WITHIN_S)
        yield source, sink


def numbers(sink: Running) -> list[int]:
    return [sample.value.n for sample in sink.node.every.take()]


def test_every_message_arrives_once_and_in_order(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    for n in range(40):
        source.node.count.send(Count(n=n))
        source.node.spare.send(Count(n=1000 + n))
    sink.until(lambda: sink.node.every.received == 40)
    assert numbers(sink) == list(range(40))
    assert sink.node.newest.value.n == 39


def test_the_envelope_arrives_as_it_was_sent(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    source.node.count.send(Count(n=1), valid=True, origin_ns=77)
    source.node.count.send(Count(n=2), valid=False, origin_ns=78)
    sink.until(lambda: sink.node.every.received == 2)
    first, second = sink.node.every.take()
    assert (first.seq, first.epoch, first.origin_ns, first.valid, first.topic) == (0, 1, 77, True, "source/count")
    assert (second.seq, second.origin_ns, second.valid) == (1, 78, False)
    assert first.sent_ns <= second.sent_ns <= sink.rig.clock.now_ns()


def test_what_is_withdrawn_is_not_valid_for_its_readers_and_in_no_queue_twice(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    source.node.count.send(Count(n=1), valid=True)
    sink.until(lambda: sink.node.every.received == 1)
    assert sink.node.newest.valid
    source.node.count.withdraw()
    sink.until(lambda: not sink.node.newest.valid)
    assert sink.node.newest.value.n == 1
    source.node.count.send(Count(n=2), valid=True)
    sink.until(lambda: sink.node.newest.valid)
    assert numbers(sink) == [1, 2]
    counted = sink.rig.counters("every")
    assert (counted["lost"], counted["dropped"]) == (0, 0)


@pytest.mark.parametrize("garbage", [b"", b"short", bytes(31), b"\xff" * 40], ids=["empty", "short", "cut", "nonsense"])
def test_a_message_without_an_envelope_is_counted_and_ends_no_reader(
    pair: tuple[Running, Running], garbage: bytes
) -> None:
    source, sink = pair
    source.publisher.send(b"source/count", b"", garbage)
    source.node.count.send(Count(n=1))
    sink.until(lambda: sink.node.every.received == 1)
    assert numbers(sink) == [1]
    assert sink.rig.counters("every")["torn"] == 1


def test_a_newest_value_input_counts_what_it_passes_over(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    for n in range(30):
        source.node.count.send(Count(n=n))
    sink.until(lambda: sink.node.newest.received == 30)
    counted = sink.rig.counters("newest")
    assert (counted["count"], counted["overtaken"], counted["lost"]) == (30, 29, 0)
    assert sink.node.newest.value.n == 29


def test_a_full_queue_drops_the_oldest_and_counts_it(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    for n in range(80):
        source.node.count.send(Count(n=n))
    sink.until(lambda: sink.node.every.received == 80)
    assert numbers(sink) == list(range(30, 80))
    assert sink.rig.counters("every")["dropped"] == 30


def test_what_was_sent_is_what_came_and_what_was_counted(pair: tuple[Running, Running]) -> None:
    """A reader that stalls while much more is sent than its transport holds."""
    source, sink = pair
    for n in range(30_000):
        source.node.count.send(Count(n=n, text="x" * 40))
    delivered = 0

    def all_accounted() -> bool:
        nonlocal delivered
        delivered += len(sink.node.every.take())
        counted = sink.rig.counters("every")
        return counted["count"] + counted["lost"] == 30_000

    sink.until(all_accounted)
    counted = sink.rig.counters("every")
    assert delivered + counted["dropped"] == counted["count"]
    assert sink.rig.counters("newest")["count"] + sink.rig.counters("newest")["lost"] == 30_000
    assert sink.node.newest.value.n == 29_999


@pytest.mark.parametrize("length", [0, 1, 1000, 60_000, 200_000, 3_000_000])
def test_messages_of_every_length_arrive_whole(pair: tuple[Running, Running], length: int) -> None:
    source, sink = pair
    source.node.count.send(Count(n=1, text="é" * (length // 2)))
    sink.until(lambda: sink.node.every.received == 1)
    assert sink.node.newest.value.text == "é" * (length // 2)


def test_a_frame_filled_in_place_arrives_read_only(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    with source.node.picture.slot((4, 6, 3), np.uint8) as image:
        image[...] = 7
    source.node.picture.send(CameraFrame(frame_id=3, image=image))
    sink.until(lambda: sink.node.picture.fresh)
    frame = sink.node.picture.value
    assert (frame.image == 7).all()
    assert (frame.frame_id, frame.image.shape, sink.node.picture.intact) == (3, (4, 6, 3), True)
    assert not frame.image.flags.writeable


def test_a_second_publisher_is_refused_with_the_name_of_the_first(pair: tuple[Running, Running]) -> None:
    source, _ = pair
    with pytest.raises(
        BusError, match=rf'"source" already have a publisher \((process {os.getpid()}|in this process)\)'
    ):
        source.rig.source(2)
    source.node.count.send(Count(n=1))


def test_a_publisher_that_starts_again_is_read_on(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    source.node.count.send(Count(n=1))
    sink.until(lambda: sink.node.every.received == 1)
    sink.step_done()
    source.close()
    second = sink.rig.source(epoch=2)
    try:
        deadline_ns = sink.rig.clock.now_ns() + round(WITHIN_S * 1e9)
        while not second.publisher.wait_for_readers({b"source/count": 1}, sink.rig.clock, 0.01):
            sink.drain()
            assert sink.rig.clock.now_ns() < deadline_ns
        second.node.count.send(Count(n=2))
        sink.until(lambda: sink.node.every.received == 2)
        assert numbers(sink) == [1, 2]
        assert (sink.node.newest.restarts, sink.node.newest.restarted, sink.node.newest.lost) == (1, True, 0)
    finally:
        second.close()


def test_a_reader_that_starts_late_gets_the_last_message_where_the_topic_says_so(rig: Rig) -> None:
    source = rig.source()
    source.node.settings.send(Count(n=1))
    source.node.settings.send(Count(n=2))
    sink = rig.sink()
    try:
        sink.until(lambda: sink.node.settings.fresh, source)
        assert sink.node.settings.value.n == 2
        source.node.settings.send(Count(n=3))
        sink.until(lambda: sink.node.settings.value.n == 3, source)
    finally:
        sink.close()
        source.close()


def test_a_reader_that_starts_again_gets_a_latched_message_again_and_counts_it_once(rig: Rig) -> None:
    source, first = rig.source(), rig.sink()
    assert source.publisher.wait_for_readers({b"source/settings": 1}, rig.clock, WITHIN_S)
    source.node.settings.send(Count(n=5))
    first.until(lambda: first.node.settings.fresh, source)
    first.close()
    second = rig.sink(epoch=2)
    try:
        second.until(lambda: second.node.settings.fresh, source)
        assert second.node.settings.value.n == 5
        assert rig.counters("settings")["count"] == 1
    finally:
        second.close()
        source.close()


def test_a_reader_that_starts_again_is_not_given_an_old_event_again(rig: Rig) -> None:
    source, first = rig.source(), rig.sink()
    assert source.publisher.wait_for_readers({b"source/count": 1}, rig.clock, WITHIN_S)
    source.node.count.send(Count(n=5))
    first.until(lambda: first.node.every.received == 1)
    first.close()
    second = rig.sink(epoch=2)
    try:
        seen: list[int] = []

        def new_ones_arrive() -> bool:
            source.node.count.send(Count(n=6))  # again and again: over ZeroMQ only what is sent after it has subscribed
            seen.extend(numbers(second))
            return bool(seen)

        second.until(new_ones_arrive, source)
        assert set(seen) == {6}
    finally:
        second.close()
        source.close()


def test_a_reader_of_another_type_gets_an_error_and_no_garbage(make: Callable[..., Rig]) -> None:
    rig = make(Mistaken)
    source = rig.source()
    try:
        with pytest.raises(BusError, match="source/count carries another message type"):
            sink = rig.sink()  # at once, where the transport knows
            try:
                source.publisher.wait_for_readers({b"source/count": 1}, rig.clock, WITHIN_S)
                source.node.count.send(Count(n=1))
                sink.until(lambda: sink.node.newest.fresh, source)
            finally:
                sink.close()
    finally:
        source.close()


def test_a_late_message_is_counted(pair: tuple[Running, Running]) -> None:
    source, sink = pair
    source.node.count.send(Count(n=1))
    sink.until(lambda: sink.node.newest.received == 1)
    assert (sink.node.newest.late, sink.rig.counters("newest")["late"]) == (0, 0)
    sink.node.newest._max_age_ns = -1  # from now on, everything is
    source.node.count.send(Count(n=2))
    sink.until(lambda: sink.node.newest.received == 2)
    assert (sink.node.newest.late, sink.rig.counters("newest")["late"]) == (1, 1)
