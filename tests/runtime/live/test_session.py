"""The session over a real broker that is killed: it comes back, and keeps nothing that was not answered."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.live.broker import BrokerSettings, tls_context
from cardan.runtime.live.happenings import Down, Happening, Outgoing, Told, Up
from cardan.runtime.live.session import Session, SessionSettings, jittered_wait_s

if TYPE_CHECKING:
    from tests.runtime.live.conftest import Authority, Cloud, Mosquitto

Until = Callable[[Callable[[], object], Callable[[], object]], None]
QUICK = SessionSettings(window=4, window_bytes=1000, first_wait_s=0.02, longest_wait_s=0.1)


class Followed:
    """A session with everything that has happened."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.happenings: list[Happening] = []

    def look(self) -> None:
        MonotonicClock().sleep_until_ns(MonotonicClock().now_ns() + 2_000_000)
        self.happenings += self.session.take()

    def count(self, kind: type) -> int:
        return sum(isinstance(item, kind) for item in self.happenings)


@pytest.fixture
def follow() -> Iterator[Callable[[BrokerSettings], Followed]]:
    made: list[Session] = []

    def make(settings: BrokerSettings) -> Followed:
        session = Session(settings, tls_context(settings), QUICK, MonotonicClock())
        made.append(session)
        session.start()
        return Followed(session)

    yield make
    for session in made:
        session.stop(5.0)


def message(number: int, size: int = 10) -> Outgoing:
    return Outgoing(number, "vehicles/car-7/event/event", b'"' + b"x" * size + b'"', 60)


def test_a_killed_broker_is_found_again_and_what_it_did_not_answer_is_forgotten(
    broker: Mosquitto, settings_for: Callable[..., BrokerSettings], follow: Callable[..., Followed], until: Until
) -> None:
    followed = follow(settings_for(broker.port))
    assert not followed.session.offer(message(0))  # nobody has answered yet: keep it
    until(lambda: followed.count(Up), followed.look)
    assert followed.session.offer(message(1))
    until(lambda: followed.count(Told), followed.look)
    broker.kill()
    until(lambda: followed.count(Down), followed.look)
    assert not followed.session.offer(message(2))
    broker.start()
    until(lambda: followed.count(Up) == 2, followed.look)
    assert followed.session.offer(message(3))
    until(lambda: followed.count(Told) == 2, followed.look)
    assert [item.token for item in followed.happenings if isinstance(item, Told)] == [1, 3]


def test_no_more_is_on_its_way_than_the_window_holds(
    broker: Mosquitto, settings_for: Callable[..., BrokerSettings], follow: Callable[..., Followed], until: Until
) -> None:
    followed = follow(settings_for(broker.port))
    until(lambda: followed.count(Up), followed.look)
    assert followed.session.offer(message(0, 3000))  # longer than the window, but alone
    assert not followed.session.offer(message(1))
    until(lambda: followed.count(Told) == 1, followed.look)
    accepted = sum(followed.session.offer(message(2 + number)) for number in range(100))
    assert accepted >= 4
    until(lambda: followed.count(Told) == 1 + accepted, followed.look)


class Babbler:
    """Speaks TLS with the broker's certificate, and then nonsense."""

    def __init__(self, authority: Authority, nonsense: bytes) -> None:
        certificate, key = authority.make("broker", host="127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self._listening = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port: int = self._listening.getsockname()[1]
        self._nonsense = nonsense
        self.visits = 0
        threading.Thread(target=self._babble, daemon=True).start()

    def _babble(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.visits += 1
            with connection, contextlib.suppress(OSError):
                connection.recv(1000)
                connection.sendall(self._nonsense)
                connection.recv(1)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x00",
        b"\x20\x03\x00\x00\x99",
        b"\x20\xff\xff\xff\xff\xff",
        b"\x20\x03\x00\x00\x00\x30\x02\x00\x09",
        b"\x20\x06\x00\x00\x03\x21\x00\x00",
        b"\x40\x02\x00\x01\x90\x02\x00\x01",
        bytes(range(256)),
        b"",
    ],
)
def test_a_broker_that_speaks_nonsense_is_tried_again_and_harms_nobody(
    authority: Authority,
    settings_for: Callable[..., BrokerSettings],
    follow: Callable[..., Followed],
    until: Until,
    nonsense: bytes,
) -> None:
    babbler = Babbler(authority, nonsense)
    try:
        followed = follow(msgspec.structs.replace(settings_for(babbler.port), connect_timeout_s=0.2))
        until(lambda: babbler.visits >= 3, followed.look)
        until(lambda: followed.count(Down) >= 2, followed.look)
        followed.session.stop(5.0)
    finally:
        babbler.close()


def test_the_end_of_a_session_is_no_last_will(
    broker: Mosquitto,
    cloud: Cloud,
    settings_for: Callable[..., BrokerSettings],
    follow: Callable[..., Followed],
    until: Until,
) -> None:
    followed = follow(settings_for(broker.port))
    until(lambda: followed.count(Up), followed.look)
    assert followed.session.offer(Outgoing("bye", "vehicles/car-7/status", b'{"online":false,"why":"stopped"}', 60))
    followed.session.stop(5.0)
    until(lambda: cloud.heard, cloud.listen)
    cloud.ask("vehicles/car-7/marker", b"{}")
    until(lambda: cloud.of("vehicles/car-7/marker"), cloud.listen)
    assert cloud.of("vehicles/car-7/status") == [{"online": False, "why": "stopped"}]


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_waits_are_jittered_over_their_whole_range_and_never_too_long(failures: int, seed: int) -> None:
    settings = SessionSettings(window=1, window_bytes=1, first_wait_s=1.0, longest_wait_s=300.0)
    wait_s = jittered_wait_s(failures, settings, Random(seed))
    assert 0 <= wait_s <= min(300.0, 2.0 ** min(failures - 1, 30))
