"""The session over a real broker that is killed: it comes back, and keeps nothing that was not answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.live.broker import BrokerSettings, tls_context
from cardan.runtime.live.happenings import Down, Happening, Outgoing, Told, Up
from cardan.runtime.live.session import Session, SessionSettings, jittered_wait_s

if TYPE_CHECKING:
    from tests.runtime.live.conftest import Cloud, Mosquitto

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
