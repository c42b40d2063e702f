"""One connection to a real broker: who is let in, what is taken, and what the broker says when it is not."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.live.broker import BrokerError, BrokerSettings, Connection, tls_context
from cardan.runtime.live.happenings import Down, Outgoing, Received, Refused, Told, Up

if TYPE_CHECKING:
    from tests.runtime.live.conftest import Authority, Cloud, Mosquitto

Until = Callable[[Callable[[], object], Callable[[], object]], None]
SettingsFor = Callable[..., BrokerSettings]


class Driven:
    """A connection that is pumped until something has happened."""

    def __init__(self, settings: BrokerSettings, wake: int, until: Until, context: ssl.SSLContext | None = None):
        self.connection = Connection(settings, context or tls_context(settings))
        self._wake = wake
        self._until = until
        self.connection.open()
        until(lambda: self.connection.happenings, self.pump)

    def pump(self) -> None:
        self.connection.pump(0.05, self._wake)

    def wait_for(self, kind: type) -> list[object]:
        self._until(lambda: self.all(kind), self.pump)
        return self.all(kind)

    def all(self, kind: type) -> list[object]:
        return [item for item in self.connection.happenings if isinstance(item, kind)]

    def tell(self, token: str, topic: str = "vehicles/car-7/state", payload: bytes = b"{}") -> None:
        self.connection.publish(Outgoing(token, topic, payload, 30))

    @property
    def received(self) -> list[Received]:
        return [item for item in self.connection.happenings if isinstance(item, Received)]


@pytest.fixture
def drive(until: Until) -> Iterator[Callable[..., Driven]]:
    read, write = os.pipe()
    driven: list[Driven] = []

    def make(settings: BrokerSettings, context: ssl.SSLContext | None = None) -> Driven:
        driven.append(Driven(settings, read, until, context))
        return driven[-1]

    yield make
    for item in driven:
        item.connection.close()
    os.close(read)
    os.close(write)


def test_a_message_is_told_only_when_the_broker_has_answered(
    broker: Mosquitto, cloud: Cloud, settings_for: SettingsFor, drive: Callable[..., Driven], until: Until
) -> None:
    vehicle = drive(settings_for(broker.port))
    assert vehicle.all(Up)
    vehicle.tell("t-1", payload=b'{"a":1}')
    assert not vehicle.all(Told)
    assert vehicle.wait_for(Told) == [Told("t-1")]
    until(lambda: cloud.heard, cloud.listen)
    assert cloud.heard == [("vehicles/car-7/state", {"a": 1})]


def test_a_topic_of_somebody_else_is_refused_and_never_told(
    broker: Mosquitto, settings_for: SettingsFor, drive: Callable[..., Driven]
) -> None:
    vehicle = drive(settings_for(broker.port))
    vehicle.tell("t-1", "vehicles/car-8/state")
    assert vehicle.wait_for(Refused) == [Refused("t-1", "Not authorized", False)]
    assert not vehicle.all(Told)


def test_a_certificate_of_another_authority_is_not_let_in(
    broker: Mosquitto, settings_for: SettingsFor, rogue: Authority, drive: Callable[..., Driven]
) -> None:
    (down,) = drive(settings_for(broker.port, rogue)).wait_for(Down)
    assert isinstance(down, Down) and down.refused and "trust the authority of our certificate" in down.problem


def test_nobody_is_let_in_without_a_certificate(
    broker: Mosquitto, settings_for: SettingsFor, authority: Authority, drive: Callable[..., Driven]
) -> None:
    context = ssl.create_default_context(cafile=str(authority.path))
    (down,) = drive(settings_for(broker.port), context).wait_for(Down)
    assert isinstance(down, Down) and down.refused


def test_a_broker_under_another_name_gets_nothing(
    broker: Mosquitto, authority: Authority, settings_for: SettingsFor
) -> None:
    broker.kill()
    authority.make("stranger", host="broker.example.com")
    broker.start("stranger")
    settings = settings_for(broker.port)
    with pytest.raises(BrokerError, match="is not good") as caught:
        Connection(settings, tls_context(settings)).open()
    assert caught.value.refused


def test_an_expired_certificate_of_the_broker_makes_one_think_of_the_clock(
    broker: Mosquitto, authority: Authority, settings_for: SettingsFor
) -> None:
    broker.kill()
    authority.make("old", host="127.0.0.1", end=datetime(2021, 1, 1, tzinfo=timezone.utc))
    broker.start("old")
    settings = settings_for(broker.port)
    with pytest.raises(BrokerError, match="expired") as caught:
        Connection(settings, tls_context(settings)).open()
    assert caught.value.hint is not None and "clock" in caught.value.hint


def test_an_address_where_nobody_listens_is_named(broker: Mosquitto, settings_for: SettingsFor) -> None:
    broker.kill()
    settings = settings_for(broker.port)
    with pytest.raises(BrokerError, match=f"127.0.0.1:{broker.port} cannot be reached") as caught:
        Connection(settings, tls_context(settings)).open()
    assert not caught.value.refused


def test_the_last_will_is_heard_when_a_connection_is_cut_and_not_after_a_good_bye(
    broker: Mosquitto, cloud: Cloud, settings_for: SettingsFor, drive: Callable[..., Driven], until: Until
) -> None:
    polite = drive(settings_for(broker.port))
    polite.connection.disconnect()
    polite.pump()
    polite.connection.close()
    rude = drive(settings_for(broker.port))
    rude.tell("t-1")
    rude.wait_for(Told)
    rude.connection.close()
    until(lambda: cloud.of("vehicles/car-7/status"), cloud.listen)
    assert [topic for topic, _ in cloud.heard] == ["vehicles/car-7/state", "vehicles/car-7/status"]


def test_what_is_asked_comes_again_until_it_is_acknowledged(
    broker: Mosquitto, cloud: Cloud, settings_for: SettingsFor, drive: Callable[..., Driven], until: Until
) -> None:
    settings = settings_for(broker.port)
    first = drive(settings)
    first.tell("t-1")
    first.wait_for(Told)  # by then the subscription, which was sent before it, is there too
    cloud.ask("vehicles/car-7/command", b'{"n":1}')
    first.wait_for(Received)
    first.connection.close()
    cloud.ask("vehicles/car-7/command", b'{"n":2}')
    second = drive(settings)
    until(lambda: len(second.received) == 2, second.pump)
    assert {item.payload for item in second.received} == {b'{"n":1}', b'{"n":2}'}
    for item in second.received:
        second.connection.acknowledge(item)
    second.tell("t-2")
    second.wait_for(Told)
    second.connection.close()
    third = drive(settings)
    third.tell("t-3")
    third.wait_for(Told)
    assert third.received == []


def test_files_that_are_no_certificates_are_named(settings_for: SettingsFor) -> None:
    settings = settings_for(1)
    settings.key.write_text("no key")
    with pytest.raises(ConfigError, match=r"car-7\.pem with the key"):
        tls_context(settings)
    settings.ca.write_text("no authority")
    with pytest.raises(ConfigError, match="authorities"):
        tls_context(settings)
