from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq

from cardan.runtime.clock import NS_PER_S, MonotonicClock
from cardan.runtime.link.presence import Change

if TYPE_CHECKING:
    from tests.runtime.link.conftest import Site

AHEAD_NS = 5_000 * NS_PER_S


class OtherClock(MonotonicClock):
    """The clock of a computer that was switched on long before ours."""

    def now_ns(self) -> int:
        return super().now_ns() + AHEAD_NS


def test_times_of_another_computer_are_put_on_our_clock_and_never_look_fresher_than_they_are(site: Site) -> None:
    ours, site.clock = site.clock, OtherClock()
    gateway = site.gateway()
    site.clock = ours
    listener = site.connected(gateway, "lidar/pose")
    sent_ns = ours.now_ns()
    site.send(sent_ns=sent_ns + AHEAD_NS, origin_ns=sent_ns + AHEAD_NS - 1_000_000)
    site.until(lambda: listener.got, gateway, listener)
    _, header, _ = listener.got[0]
    estimate = listener.client.estimate()
    assert estimate is not None
    assert abs(estimate.offset_ns - AHEAD_NS) <= estimate.uncertainty_ns < NS_PER_S
    assert header.sent_ns <= sent_ns
    assert sent_ns - header.sent_ns <= 2 * NS_PER_S
    assert header.sent_ns - header.origin_ns == 1_000_000


@pytest.mark.slow
def test_loss_and_return_of_the_other_computer_are_seen_counted_and_recovered(site: Site) -> None:
    gateway = site.gateway()
    listener = site.connected(gateway, "lidar/pose")
    site.send()
    site.until(lambda: listener.numbers == [0], gateway, listener)
    address = gateway.endpoint
    gateway.close()
    site.closing.remove(gateway.close)
    site.until(lambda: listener.changes == [Change.CAME, Change.WENT], listener)
    site.until(lambda: not site.subscribed("lidar/pose"), listener)
    assert listener.client.reason in ("the connection was cut", "it does not answer")
    for _ in range(7):
        site.send()
    again = site.gateway(address)
    site.until(lambda: listener.client.presence.up and site.subscribed("lidar/pose"), again, listener)
    site.send()
    site.until(lambda: listener.numbers == [0, 8], again, listener)
    assert listener.client.lost == 7
    assert listener.client.presence.outages == 1


@pytest.mark.slow
def test_a_gateway_that_hangs_is_away_although_its_connection_stands(site: Site) -> None:
    gateway = site.gateway()
    listener = site.connected(gateway, "lidar/pose")
    site.until(lambda: not listener.client.presence.up, listener)
    assert listener.client.reason == "it does not answer"
    site.until(lambda: listener.client.presence.up, gateway, listener)


@pytest.mark.slow
def test_another_run_of_the_other_computer_begins_anew(site: Site) -> None:
    gateway = site.gateway(run="first")
    listener = site.connected(gateway, "lidar/pose")
    site.send(seq=900)
    site.until(lambda: listener.numbers == [900], gateway, listener)
    gateway.close()
    site.closing.remove(gateway.close)
    site.until(lambda: not listener.client.presence.up and not site.subscribed("lidar/pose"), listener)
    again = site.gateway(gateway.endpoint, run="second")
    site.until(lambda: listener.client.presence.up and site.subscribed("lidar/pose"), again, listener)
    site.send(seq=3)
    site.until(lambda: listener.numbers == [900, 3], again, listener)
    assert listener.client.lost == 0


def test_nonsense_from_a_gateway_is_counted_and_dropped(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve")
    listener = site.connected(gateway, "lidar/pose")
    site.publisher.send(b"lidar/pose", b"", b"short")
    site.publisher.send(b"lidar/pose", bytes(32), b"another version")
    site.until(lambda: listener.client.nonsense == 2, gateway, listener)
    site.send()
    site.until(lambda: len(listener.got) == 1, gateway, listener)


def test_what_was_not_asked_for_is_not_handed_over(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve")
    listener = site.connected(gateway, "lidar/pose")  # also brings lidar/pose_raw, whose name begins so
    site.until(lambda: site.subscribed("lidar/pose_raw"), gateway, listener)
    site.send("lidar/pose_raw")
    site.send("lidar/pose")
    site.until(lambda: gateway.counts.forwarded == 2 and listener.got, gateway, listener)
    assert [topic for topic, _, _ in listener.got] == ["lidar/pose"]


def test_the_descriptor_wakes_whoever_waits_for_news(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve")
    listener = site.connected(gateway, "lidar/pose")
    poller = zmq.Poller()
    poller.register(listener.client.fileno(), zmq.POLLIN)
    poller.register(gateway.fileno(), zmq.POLLIN)
    site.send()
    while not listener.got:
        assert poller.poll(5000), "news wake the gateway, then the listener"
        gateway.pump()
        listener.pump()
