from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zmq

from cardan.runtime.bus.codec import MessageDecoder, MessageEncoder
from cardan.runtime.bus.envelope import HEADER_SIZE, unpack
from cardan.runtime.bus.slots import SlotMaps, SlotPool
from cardan.runtime.errors import BusError, ConfigError
from cardan.runtime.link.gateway import LARGE_BYTES, LARGE_IN_FLIGHT, LONGEST_QUESTION, offered
from cardan.runtime.link.keys import KeyPair
from cardan.runtime.messages import CameraFrame

if TYPE_CHECKING:
    from tests.runtime.link.conftest import Site

IMAGE = np.arange(200 * 300 * 3, dtype=np.uint8).reshape(200, 300, 3)


def plain(site: Site, kind: int, address: str) -> zmq.Socket[bytes]:
    """A socket of a program that knows nothing of us."""
    socket = site.context().socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(address)
    site.closing.append(socket.close)
    return socket


def test_a_pyzmq_only_listener_on_this_computer_gets_the_bytes_of_the_bus(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve")
    listener = plain(site, zmq.SUB, gateway.endpoint)
    listener.subscribe(b"lidar/pose")
    site.until(lambda: site.subscribed("lidar/pose"), gateway)
    site.send(payload=b"\x81\xa1x\x01")
    site.until(lambda: listener.poll(0), gateway)
    topic, message = listener.recv_multipart()
    assert topic == b"lidar/pose"
    assert message[HEADER_SIZE:] == b"\x81\xa1x\x01"
    assert gateway.counts.forwarded == 1


def test_only_what_somebody_asks_for_is_read(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve")
    listener = plain(site, zmq.SUB, gateway.endpoint)
    assert gateway.asked_for == set()
    listener.subscribe(b"lidar/pose")
    site.until(lambda: gateway.asked_for == {"lidar/pose", "lidar/pose_raw"}, gateway)  # a prefix, as ZeroMQ has it
    listener.subscribe(b"nobody/has_it")
    listener.subscribe(b"")
    site.until(lambda: len(gateway.asked_for) == 3, gateway)
    listener.unsubscribe(b"")
    site.until(lambda: len(gateway.asked_for) == 2, gateway)
    listener.close()
    site.until(lambda: gateway.asked_for == set() and not site.subscribed("lidar/pose"), gateway)


def test_a_late_listener_gets_the_last_message_of_a_latched_topic(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve", latched=frozenset({"lidar/pose"}))
    first = plain(site, zmq.SUB, gateway.endpoint)
    first.subscribe(b"lidar/pose")
    site.until(lambda: site.subscribed("lidar/pose"), gateway)
    site.send(payload=b"\x01")
    site.send(payload=b"\x02")
    site.until(lambda: gateway.counts.forwarded == 2, gateway)
    late = plain(site, zmq.SUB, gateway.endpoint)
    late.subscribe(b"lidar/")
    site.until(lambda: late.poll(0), gateway)
    assert late.recv_multipart()[1][HEADER_SIZE:] == b"\x02"


def test_a_second_gateway_at_the_same_place_is_refused_with_the_process_of_the_first(site: Site) -> None:
    site.gateway(f"ipc://{site.folder}/serve")
    with pytest.raises(BusError, match=r"already have a publisher \(process \d+\)"):
        site.gateway(f"ipc://{site.folder}/serve")


def test_an_address_that_is_taken_is_an_error_of_ours(site: Site) -> None:
    first = site.gateway()
    with pytest.raises(BusError, match=r"cannot listen on tcp://127\.0\.0\.1:\d+: Address already in use"):
        site.gateway(first.endpoint)


def test_tcp_without_keys_cannot_even_be_made(site: Site) -> None:
    from cardan.runtime.link.gateway import Gateway, GatewaySettings
    from cardan.runtime.link.source import ZmqSource

    context = site.context()
    source = ZmqSource(context, site.bus)
    site.closing.append(source.close)
    settings = GatewaySettings(bind="tcp://127.0.0.1:*", topics={})
    with pytest.raises(ConfigError, match="open to everybody"):
        Gateway(context, settings, source, site.frames, site.clock, site.said.append)


def test_a_trusted_client_gets_messages_with_their_times(site: Site) -> None:
    gateway = site.gateway()
    listener = site.connected(gateway, "lidar/pose")
    for number in range(50):
        site.send(payload=bytes([number]))
    site.until(lambda: len(listener.got) == 50, gateway, listener)
    assert listener.numbers == list(range(50))
    assert listener.client.lost == 0
    assert site.said == ["let in car from 127.0.0.1"]
    assert listener.client.vehicle == "lidar-box"
    now_ns = site.clock.now_ns()
    assert all(0 < header.origin_ns <= header.sent_ns <= now_ns for _, header, _ in listener.got)


def test_an_unknown_client_is_refused_and_both_sides_say_so(site: Site) -> None:
    gateway = site.gateway()
    stranger = site.listener(gateway.endpoint, "lidar/pose")
    site.until(
        lambda: gateway.counts.refused and stranger.client.reason == "it does not trust our key", gateway, stranger
    )
    assert site.said[0] == f"refused: 127.0.0.1 has the unknown key {site.laptop.public.decode()}"
    assert gateway.asked_for == set()
    site.keys.trust("car", site.laptop.public)
    site.until(lambda: stranger.client.presence.up, gateway, stranger)


def test_a_client_that_was_told_another_server_key_is_refused_and_both_sides_say_so(site: Site) -> None:
    gateway = site.gateway()
    site.keys.trust("car", site.laptop.public)
    mistaken = site.listener(gateway.endpoint, "lidar/pose", server_key=zmq.curve_keypair()[0])
    site.until(lambda: gateway.counts.refused and "server_key" in mistaken.client.reason, gateway, mistaken)
    assert site.said[0] == "refused: a client that expects another key of ours"
    assert not mistaken.client.presence.up


def test_a_client_without_keys_is_refused_and_both_sides_say_so(site: Site) -> None:
    gateway = site.gateway()
    bare = site.listener(gateway.endpoint, "lidar/pose", plain=True)
    site.until(lambda: gateway.counts.refused and "does not use keys" in bare.client.reason, gateway, bare)
    assert "without a key" in site.said[0]
    spy = plain(site, zmq.SUB, gateway.endpoint)
    spy.subscribe(b"")
    refused = gateway.counts.refused
    site.until(lambda: gateway.counts.refused > refused, gateway)
    assert gateway.asked_for == set()


def test_a_key_that_others_could_have_read_lets_nobody_in(site: Site) -> None:
    gateway = site.gateway()
    site.keys.trust("car", site.laptop.public)
    (site.keys.trusted_folder / "broken.key").write_text("no key")
    stranger = site.listener(gateway.endpoint, "lidar/pose")
    site.until(lambda: gateway.counts.refused, gateway, stranger)
    assert "broken.key holds no key" in site.said[0]


@pytest.mark.slow
def test_a_revoked_client_is_cut_off_and_the_others_come_back(site: Site) -> None:
    gateway = site.gateway()
    other = KeyPair("other", *zmq.curve_keypair())
    site.keys.trust("other", other.public)
    listener = site.connected(gateway, "lidar/pose")
    stays = site.listener(gateway.endpoint, "lidar/points", pair=other)
    site.until(lambda: site.subscribed("lidar/points"), gateway, stays)
    site.keys.revoke("car")
    site.until(lambda: "it does not trust our key" in listener.client.reason, gateway, listener, stays)
    site.until(lambda: stays.client.presence.outages and stays.client.presence.up, gateway, listener, stays)
    site.until(lambda: gateway.asked_for == {"lidar/points"}, gateway, listener, stays)
    assert any(text.startswith("trusted no longer: car") for text in site.said)


def test_nonsense_from_a_client_is_counted_and_nothing_of_it_reaches_the_run(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve")
    client = plain(site, zmq.XSUB, gateway.endpoint)
    reader = plain(site, zmq.SUB, f"ipc://{site.bus}/lidar.sock")
    reader.subscribe(b"")
    for message in (b"@nonsense", b"control/command", b"\x02", b"@" + bytes(100)):
        client.send(message)
    client.send_multipart([b"lidar/pose", bytes(64)])
    site.until(lambda: gateway.counts.nonsense >= 4, gateway)
    client.send(b"@" + bytes(2 * LONGEST_QUESTION))  # too long: the connection is closed
    site.until(lambda: True, gateway)
    assert not reader.poll(0)


def test_an_array_is_named_on_this_computer_and_contained_for_another(site: Site) -> None:
    near, far = site.gateway(f"ipc://{site.folder}/serve"), site.gateway()
    here, there = site.connected(near, "lidar/points"), site.connected(far, "lidar/points")
    site.until(lambda: site.subscribed("lidar/points", 2), near, far, here, there)
    pool = SlotPool(site.frames, "lidar.points.1")
    payload = MessageEncoder(CameraFrame, pool).encode(CameraFrame(frame_id=1, image=IMAGE))
    site.send("lidar/points", payload)
    site.until(lambda: here.got and there.got, near, far, here, there)
    assert here.got[0][2] == payload
    decoder = MessageDecoder(CameraFrame, SlotMaps(site.frames))
    assert np.array_equal(decoder.decode(here.got[0][2]).image, IMAGE)
    assert np.array_equal(MessageDecoder(CameraFrame).decode(there.got[0][2]).image, IMAGE)
    for _ in range(20):
        pool.describe(IMAGE)  # overwrites every slot
    site.send("lidar/points", payload)
    site.until(lambda: far.counts.unreadable == 1, near, far, here, there)
    pool.close()


def test_a_client_that_does_not_read_costs_bounded_memory_and_sees_the_gap(site: Site) -> None:
    gateway = site.gateway(f"ipc://{site.folder}/serve")
    sleeper = site.context().socket(zmq.SUB)
    site.closing.append(sleeper.close)
    sleeper.setsockopt(zmq.RCVHWM, 1)
    sleeper.connect(gateway.endpoint)
    sleeper.subscribe(b"lidar/pose")
    site.until(lambda: site.subscribed("lidar/pose"), gateway)
    counts, large = gateway.counts, b"\xc5" + bytes(20 * LARGE_BYTES)
    while counts.dropped < 3:
        site.send(payload=large)
        site.until(lambda: counts.forwarded + counts.dropped == site.seq, gateway)
        assert counts.forwarded <= LARGE_IN_FLIGHT + 10, "what the sockets of the kernel and one reader hold"
    heard: list[int] = []
    while not heard or heard[-1] < site.seq - 1:
        if not sleeper.poll(20):
            site.send()
            gateway.pump()
            continue
        heard.append(unpack(sleeper.recv_multipart()[1]).seq)
    assert site.seq - len(heard) >= counts.dropped == 3, "what was dropped is missing in the sequence"


def test_topics_are_offered_by_pattern_and_a_pattern_without_any_is_a_finding() -> None:
    topics = {"camera/frame": "A", "camera/info": "B", "bridge/sent": "C"}
    assert set(offered(topics, ["camera/*"])) == {"camera/frame", "camera/info"}
    assert offered(topics, ["*"]) == topics
    with pytest.raises(ConfigError, match='no topic matches "radar/\\*"'):
        offered(topics, ["*", "radar/*"])
