"""The node `live` on a bench, its broker and its outbox real: what is told, what is not, and what survives kills."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.live.node import Live
from cardan.runtime.live.report import read_report_or_none
from cardan.runtime.live.settings import LiveConfig
from cardan.runtime.messages import BridgeVerdict, Message, VehicleState
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir, outbox_dir, stream_of
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.privacy.consent import ConsentFile
from cardan.runtime.privacy.settings import FieldRule, PrivacySettings
from cardan.runtime.testing import Bench, blank

if TYPE_CHECKING:
    from tests.runtime.live.conftest import Authority, Cloud, Mosquitto, Wire

Until = Callable[[Callable[[], object], Callable[[], object]], None]
EVENTS, CRITICAL = "vehicles/car-7/event/event", "vehicles/car-7/event/critical"
TOPICS: dict[str, type[Message]] = {"state/vehicle": VehicleState, "bridge/verdict": BridgeVerdict}
ALL = PrivacySettings(consent=["operation", "improvement"], default_purpose="operation")


class Vehicle:
    """A data folder with an outbox, and the node on benches that come and go."""

    def __init__(self, folder: Path, authority: Authority, port: int, closing: ExitStack) -> None:
        self.data_dir = folder / "data"
        self._authority = authority
        self._port = port
        self._closing = closing
        authority.make("car-7")
        self.queues = {kind: self._queue(kind) for kind in (RecordClass.CRITICAL, RecordClass.EVENT)}
        self.written = 0

    def _queue(self, kind: RecordClass) -> Queue:
        queue = Queue(
            class_dir(outbox_dir(self.data_dir), kind),
            vehicle="car-7",
            boot="b",
            stream=stream_of(kind),
            limits=QueueLimits(max_bytes=1 << 20, segment_bytes=1 << 12),
        )
        queue.open()
        self._closing.callback(queue.close)
        return queue

    def write(self, count: int, kind: RecordClass = RecordClass.EVENT, **fields: Any) -> None:
        for _ in range(count):
            self.written += 1
            record = {"topic": "a/b", "message": {"n": self.written}, "purpose": "operation", **fields}
            self.queues[kind].append(json.dumps(record).encode(), kind=kind, mono_ns=1, wall_ns=2)
        self.queues[kind].commit()

    def node(self, privacy: PrivacySettings = ALL, **config: Any) -> Bench[Live]:
        settings = LiveConfig(
            **{
                "broker": f"mqtts://127.0.0.1:{self._port}",
                "ca": str(self._authority.path),
                "certificate": str(self._authority.folder / "car-7.pem"),
                "key": str(self._authority.folder / "car-7.key"),
                "prefix": "vehicles/car-7",
                "first_wait_s": 0.02,
                "longest_wait_s": 0.1,
                "offline_after_s": 1.0,
                **config,
            }
        )
        bench = Bench(Live, config=settings, data_dir=self.data_dir, topics=TOPICS, privacy=privacy, rate_hz=20.0)
        self._closing.callback(bench.close)
        return bench


@pytest.fixture
def vehicle(tmp_path: Path, authority: Authority, broker: Mosquitto) -> Iterator[Vehicle]:
    with ExitStack() as closing:
        yield Vehicle(tmp_path, authority, broker.port, closing)


def verdict(cycle: int) -> BridgeVerdict:
    return blank(BridgeVerdict, cycle=cycle, engagement="enabled")


def condition(bench: Bench[Live]) -> str:
    found = bench.node_vitals.condition
    return found[1] if found is not None else ""


def working(bench: Bench[Live], cloud: Cloud) -> Callable[[], None]:
    def work() -> None:
        bench.step()
        cloud.listen()

    return work


def numbers(cloud: Cloud, topic: str = EVENTS) -> list[int]:
    return [document["message"]["n"] for document in cloud.of(topic)]


def more_than(cloud: Cloud, count: int) -> Callable[[], bool]:
    return lambda: len(set(numbers(cloud))) > count


def test_every_record_of_the_two_classes_is_told_with_its_place_in_the_log(
    vehicle: Vehicle, cloud: Cloud, until: Until
) -> None:
    vehicle.write(3)
    vehicle.write(1, RecordClass.CRITICAL)
    bench = vehicle.node()
    until(lambda: len(cloud.of(EVENTS)) == 3 and cloud.of(CRITICAL), working(bench, cloud))
    first = cloud.of(EVENTS)[0]
    assert (first["seq"], first["class"], first["topic"], first["message"]) == (1, "event", "a/b", {"n": 1})
    assert first["id"] == f"{first['log']}-event-1"
    assert numbers(cloud) == [1, 2, 3]
    vehicle.write(2)
    until(lambda: bench.metric("events")[1] == 6, working(bench, cloud))
    assert numbers(cloud) == [1, 2, 3, 5, 6] and numbers(cloud, CRITICAL) == [4]


def test_the_state_says_how_the_run_is_and_what_is_newest_and_no_oftener_than_it_should(
    vehicle: Vehicle, cloud: Cloud, until: Until
) -> None:
    bench = vehicle.node(state_interval_s=2.0)
    until(lambda: cloud.of("vehicles/car-7/status"), working(bench, cloud))
    assert cloud.of("vehicles/car-7/status")[0]["online"] is True
    for cycle in range(100):  # five seconds of the bench's clock
        bench.send("topics", verdict(cycle), topic="bridge/verdict")
        until(lambda: not bench.node._state_on_the_way, working(bench, cloud))
        bench.step()
    until(lambda: not bench.node._state_on_the_way, working(bench, cloud))
    states = cloud.of("vehicles/car-7/state")
    assert 3 <= len(states) <= 1 + (bench.clock.now_ns() - FakeClock().now_ns()) / 2e9
    assert states[-1]["topics"]["bridge/verdict"]["message"]["engagement"] == "enabled"
    assert states[-1]["state"]["nodes"] >= 1 and states[-1]["policy"]


def test_what_the_policy_withholds_or_changes_is_so_in_the_state_too(
    vehicle: Vehicle, cloud: Cloud, until: Until
) -> None:
    privacy = PrivacySettings(
        consent=["operation"],
        purposes={"bridge/*": "operation"},
        fields=[FieldRule(topic="bridge/*", field="cause", action="remove")],
    )
    bench = vehicle.node(privacy)
    bench.send("topics", verdict(1), topic="bridge/verdict")
    state = blank(VehicleState, speed_mps=1.0)
    bench.send("topics", state, topic="state/vehicle")  # for improvement, which nobody has consented to
    until(lambda: cloud.of("vehicles/car-7/state"), working(bench, cloud))
    topics = cloud.of("vehicles/car-7/state")[0]["topics"]
    assert list(topics) == ["bridge/verdict"] and "cause" not in topics["bridge/verdict"]["message"]


@pytest.mark.slow
def test_killed_brokers_lose_no_event_and_what_comes_twice_has_the_same_id(
    vehicle: Vehicle, cloud: Cloud, broker: Mosquitto, until: Until
) -> None:
    bench = vehicle.node(window=8)
    for told in (0, 60, 120):
        vehicle.write(40)
        until(more_than(cloud, told + 10), working(bench, cloud))
        broker.kill()
        vehicle.write(20)
        for _ in range(5):
            bench.step()
        broker.start()
        cloud.listening()
        until(more_than(cloud, told + 59), working(bench, cloud))
    assert sorted(set(numbers(cloud))) == list(range(1, 181))
    ids = {document["id"]: document["message"]["n"] for document in cloud.of(EVENTS)}
    assert len(ids) == 180


@pytest.mark.slow
def test_cut_connections_lose_no_event(vehicle: Vehicle, cloud: Cloud, wire: Wire, until: Until) -> None:
    bench = vehicle.node(broker=f"mqtts://127.0.0.1:{wire.port}", window=8, messages_per_s=1000.0)
    for told in range(0, 300, 30):
        vehicle.write(30)
        until(more_than(cloud, told + 5), working(bench, cloud))
        wire.cut()
    until(more_than(cloud, 299), working(bench, cloud))
    assert set(numbers(cloud)) == set(range(1, 301)) and wire.cuts >= 20
    assert len({document["id"] for document in cloud.of(EVENTS)}) == 300
    until(lambda: bench.node._feeds["event"].position.seq == 300, working(bench, cloud))


def test_a_store_that_takes_everything_while_the_broker_is_away_takes_no_event_from_it(
    vehicle: Vehicle, cloud: Cloud, broker: Mosquitto, until: Until
) -> None:
    bench = vehicle.node()
    until(lambda: cloud.of("vehicles/car-7/status"), working(bench, cloud))
    broker.kill()
    vehicle.write(30)
    vehicle.queues[RecordClass.EVENT].seal()
    bench.step(2)
    claims = Claims(outbox_dir(vehicle.data_dir))
    claims.open()
    while (claim := claims.oldest_or_none([RecordClass.EVENT])) is not None:
        claim.delivered()
    claims.close()
    assert vehicle.queues[RecordClass.EVENT].collect() == 30
    broker.start()
    cloud.listening()
    until(lambda: len(set(numbers(cloud))) == 30, working(bench, cloud))
    assert bench.node._feeds["event"].counts.gone == 0


@pytest.mark.slow
def test_a_killed_node_repeats_a_little_and_loses_nothing(vehicle: Vehicle, cloud: Cloud, until: Until) -> None:
    vehicle.write(60)
    bench = vehicle.node(window=4)
    until(lambda: len(cloud.of(EVENTS)) >= 30, working(bench, cloud))
    assert bench.node._session is not None
    bench.node._keep(0)
    kept = bench.node._feeds["event"].position.seq
    bench.node._keep = lambda now_ns: None  # type: ignore[method-assign]  # a killed process keeps nothing
    bench.node._session.stop(5.0)
    again = vehicle.node()
    until(lambda: len(set(numbers(cloud))) == 60, working(again, cloud))
    repeated = len(numbers(cloud)) - 60
    assert repeated <= 60 - kept
    until(lambda: again.node._feeds["event"].position.seq == 60, working(again, cloud))


def test_a_topic_that_the_broker_does_not_take_is_a_finding_by_name_and_nothing_counts_as_told(
    vehicle: Vehicle, cloud: Cloud, until: Until
) -> None:
    vehicle.write(3)
    bench = vehicle.node(prefix="vehicles/half")
    until(lambda: condition(bench) == "live-not-authorized", working(bench, cloud))
    assert bench.metric("events")[1] == 0
    assert bench.node._feeds["event"].position.seq == 0
    assert list(bench.node._teller.pauses) == ["vehicles/half/event/event"]
    report = read_report_or_none(vehicle.data_dir)
    assert report is not None and '"vehicles/half/event/event" from us: Not authorized' in report.text
    bench.close()
    bench = vehicle.node()
    until(lambda: len(cloud.of(EVENTS)) == 3, working(bench, cloud))
    until(lambda: condition(bench) == "", working(bench, cloud))


def test_a_broker_that_does_not_know_us_is_a_finding(
    vehicle: Vehicle, cloud: Cloud, rogue: Authority, until: Until
) -> None:
    rogue.make("car-7")
    bench = vehicle.node(certificate=str(rogue.folder / "car-7.pem"), key=str(rogue.folder / "car-7.key"))
    until(lambda: condition(bench) == "live-refused", working(bench, cloud))


@pytest.mark.slow
def test_a_broker_that_cannot_be_reached_is_said_after_a_while_and_passes(
    vehicle: Vehicle, cloud: Cloud, broker: Mosquitto, until: Until
) -> None:
    broker.kill()
    bench = vehicle.node()
    bench.step()
    assert condition(bench) == ""
    until(lambda: condition(bench) == "live-unreachable", bench.step)
    broker.start()
    cloud.listening()
    until(lambda: condition(bench) == "", working(bench, cloud))


def test_without_consent_nobody_hears_of_the_vehicle_and_a_withdrawal_counts_at_once(
    vehicle: Vehicle, cloud: Cloud, until: Until
) -> None:
    vehicle.write(1)
    bench = vehicle.node(PrivacySettings())
    until(lambda: condition(bench) == "live-no-consent", working(bench, cloud))
    assert cloud.heard == []
    person = ConsentFile(vehicle.data_dir, [])
    person.say(["operation"], given=True, by="anna", clock=FakeClock())
    until(lambda: cloud.of(EVENTS), working(bench, cloud))
    person.say(["operation"], given=False, by="anna", clock=FakeClock())
    vehicle.write(1)
    until(lambda: condition(bench) == "live-no-consent", working(bench, cloud))
    for _ in range(20):
        bench.step()
        cloud.listen()
    assert numbers(cloud) == [1]


def test_a_record_whose_consent_was_withdrawn_is_passed_by_and_counted(
    vehicle: Vehicle, cloud: Cloud, until: Until
) -> None:
    vehicle.write(2, purpose="improvement")
    vehicle.write(1)
    bench = vehicle.node(PrivacySettings(consent=["operation"]))
    until(lambda: cloud.of(EVENTS), working(bench, cloud))
    assert numbers(cloud) == [3]
    assert bench.node._feeds["event"].counts.withheld == 2


def test_a_record_that_is_too_long_says_so_and_leaves_its_message_to_the_store(
    vehicle: Vehicle, cloud: Cloud, until: Until
) -> None:
    vehicle.write(1, padding="x" * 3000)
    bench = vehicle.node(max_message_bytes=1024)
    until(lambda: cloud.of(EVENTS), working(bench, cloud))
    told = cloud.of(EVENTS)[0]
    assert told["left_out_bytes"] > 3000 and told["topic"] == "a/b" and "message" not in told


def test_the_end_of_the_run_is_told(vehicle: Vehicle, cloud: Cloud, until: Until) -> None:
    bench = vehicle.node()
    until(lambda: cloud.of("vehicles/car-7/status"), working(bench, cloud))
    bench.close()
    until(lambda: len(cloud.of("vehicles/car-7/status")) == 2, cloud.listen)
    last = cloud.of("vehicles/car-7/status")[-1]
    assert last["online"] is False and last["why"] == "the run has ended"
    report = read_report_or_none(vehicle.data_dir)
    assert report is not None and not report.connected and "the run has ended" in report.text


@pytest.mark.parametrize("bad", ["mqtt://host:1883", "host", "mqtts://", "mqtts://host:port", "mqtts://me@host"])
def test_an_address_without_tls_or_a_host_is_refused(bad: str) -> None:
    from cardan.runtime.errors import ConfigError

    with pytest.raises(ConfigError, match="no address of a broker"):
        LiveConfig(broker=bad, ca="a", certificate="b", key="c")
