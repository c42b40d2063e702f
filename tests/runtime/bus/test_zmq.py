import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from cardan.runtime.bus.zmq import ZmqPublisher, ZmqSubscriber
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import BusError

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def bus_dir() -> Iterator[Path]:
    """A short path: the name of a Unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="cb-") as folder:
        yield Path(folder)


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(linger=0)


def receive(subscriber: ZmqSubscriber, count: int) -> list[tuple[str, bytes]]:
    got: list[tuple[str, bytes]] = []
    while len(got) < count and subscriber.socket.poll(2000):
        subscriber.drain(lambda topic, message, passed=None: got.append((topic, message)))
    return got


def test_what_is_published_after_the_subscription_arrives_in_order(context: Context, bus_dir: Path) -> None:
    subscriber = ZmqSubscriber(context, bus_dir, ["a/x"])
    publisher = ZmqPublisher(context, bus_dir, "a")
    assert publisher.wait_for_readers({b"a/x": 1}, MonotonicClock(), 2.0)
    for n in range(100):
        publisher.send(b"a/x", b"H", bytes([n]))
        publisher.send(b"a/other", b"H", b"not asked for")
    assert receive(subscriber, 100) == [("a/x", b"H" + bytes([n])) for n in range(100)]
    publisher.close()
    subscriber.close()


def test_a_reader_that_waits_gets_every_message_once_and_in_order(context: Context, bus_dir: Path) -> None:
    subscriber = ZmqSubscriber(context, bus_dir, ["a/x"])
    publisher = ZmqPublisher(context, bus_dir, "a")
    assert publisher.wait_for_readers({b"a/x": 1}, MonotonicClock(), 2.0)
    got: list[bytes] = []
    for burst in (1, 5, 1, 30):
        expected = [bytes([burst, n]) for n in range(burst)]
        for message in expected:
            publisher.send(b"a/x", b"", message)
        got.clear()
        taken = 0
        while len(got) < burst:
            assert subscriber.wait(2.0) == []
            taken += subscriber.drain(lambda topic, message, passed=None: got.append(message))
        assert got == expected
        assert taken == burst
    assert subscriber.drain(lambda topic, message, passed=None: got.append(message)) == 0
    publisher.close()
    subscriber.close()


def test_a_late_reader_gets_the_last_message_of_a_latched_topic(context: Context, bus_dir: Path) -> None:
    publisher = ZmqPublisher(context, bus_dir, "a", latched=frozenset({b"a/map"}))
    for n in range(3):
        publisher.send(b"a/map", b"", bytes([n]))
        publisher.send(b"a/x", b"", bytes([n]))
    late = ZmqSubscriber(context, bus_dir, ["a/map", "a/x"])
    while not late.socket.poll(1):
        publisher.serve()
    assert receive(late, 1) == [("a/map", b"\2")]
    assert not late.socket.poll(10)
    publisher.close()
    late.close()


def test_a_publisher_gives_up_waiting_for_readers_after_the_time_out(context: Context, bus_dir: Path) -> None:
    publisher = ZmqPublisher(context, bus_dir, "a")
    assert not publisher.wait_for_readers({b"a/x": 1}, MonotonicClock(), 0.02)
    publisher.close()


def test_a_second_publisher_is_refused_with_the_process_of_the_first(context: Context, bus_dir: Path) -> None:
    publisher = ZmqPublisher(context, bus_dir, "a")
    with pytest.raises(BusError, match=r'"a" already have a publisher \(process \d+\)'):
        ZmqPublisher(context, bus_dir, "a")
    publisher.close()


def test_a_reader_finds_a_publisher_that_starts_again(context: Context, bus_dir: Path) -> None:
    subscriber = ZmqSubscriber(context, bus_dir, ["a/x"])
    for n in range(2):
        life: Context = zmq.Context()
        publisher = ZmqPublisher(life, bus_dir, "a")
        assert any(
            subscriber.socket.poll(1) or publisher.wait_for_readers({b"a/x": 1}, MonotonicClock(), 0.01)
            for _ in range(200)
        ), "a reader subscribes again as soon as it looks at its socket"
        publisher.send(b"a/x", b"", bytes([n]))
        assert receive(subscriber, 1) == [("a/x", bytes([n]))]
        publisher.close()
        life.term()
    subscriber.close()
