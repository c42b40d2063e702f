"""The node `downlink` on a bench with a real outbox: done once, answered always, refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.downlink.inbox import Inbox
from cardan.runtime.downlink.memory import memory_path, read_memory
from cardan.runtime.downlink.node import Downlink, DownlinkConfig
from cardan.runtime.errors import DeviceError
from cardan.runtime.live.node import Live
from cardan.runtime.messages import BridgeVerdict, Message, VehicleState
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.privacy.consent import ConsentFile
from cardan.runtime.privacy.settings import PURPOSES, PrivacySettings
from cardan.runtime.testing import Bench, blank
from cardan.runtime.uplink.status import uplink_dir
from cardan.runtime.uplink.wishes import read_wishes
from cardan.runtime.vitals import NodeState, NodeVitals

if TYPE_CHECKING:
    from tests.runtime.downlink.conftest import Outbox

Signed = Callable[..., bytes]
Body = Callable[..., dict[str, Any]]
TOPICS: dict[str, type[Message]] = {"state/vehicle": VehicleState, "bridge/verdict": BridgeVerdict}


class Vehicle:
    """Benches of the node, one after the other, over one data folder."""

    def __init__(self, data_dir: Path, keys: Path, closing: ExitStack) -> None:
        self.data_dir = data_dir
        self._keys = keys
        self._closing = closing
        self.inbox = Inbox(data_dir)

    def start(self, privacy: PrivacySettings | None = None) -> Bench[Downlink]:
        bench = Bench(
            Downlink,
            config=DownlinkConfig(keys=str(self._keys)),
            data_dir=self.data_dir,
            topics=TOPICS,
            privacy=privacy or PrivacySettings(consent=list(PURPOSES)),
            rate_hz=20.0,
        )
        self._closing.callback(bench.close)
        return bench


@pytest.fixture
def vehicle(tmp_path: Path, keys: Path, outbox: Outbox) -> Iterator[Vehicle]:
    with ExitStack() as closing:
        yield Vehicle(tmp_path / "data", keys, closing)


def name_unnamed(body: dict[str, Any]) -> dict[str, Any]:
    """A bench's plan has no outbox that would name the vehicle."""
    return {**body, "vehicles": ["unnamed"]}


def state(speed_mps: float) -> VehicleState:
    return blank(VehicleState, speed_mps=speed_mps)


def verdict(engagement: str) -> BridgeVerdict:
    return blank(BridgeVerdict, cycle=0, engagement=engagement)


def drive(bench: Bench[Downlink], seconds: float, speed_mps: float, engagement: str = "disabled") -> None:
    for _ in range(round(20 * seconds)):
        bench.send("topics", state(speed_mps), topic="state/vehicle")
        bench.send("topics", verdict(engagement), topic="bridge/verdict")
        bench.step()


def test_a_ping_is_answered_once_however_often_it_comes(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body
) -> None:
    data = signed(name_unnamed(command()))
    bench = vehicle.start()
    for _ in range(3):
        vehicle.inbox.put(data)
        bench.step(10)
    bench.close()
    bench = vehicle.start()
    vehicle.inbox.put(data)
    bench.step(10)
    (result,) = outbox.results()
    assert (result["name"], result["state"], result["key"]) == ("c-1", "done", "ops")
    assert result["output"]["run"] == "bench" and not vehicle.inbox.waiting()


def test_a_refusal_says_why_and_a_stranger_is_not_answered_for_ever(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body
) -> None:
    bench = vehicle.start()
    vehicle.inbox.put(signed(command(vehicles=["car-8"])))
    bench.step(10)
    for number in range(30):
        vehicle.inbox.put(b"noise %d" % number)
    bench.step(10)
    results = outbox.results()
    assert results[0]["reason"] == "not-for-us"
    assert len(results) == 7 and {item["reason"] for item in results[1:]} == {"not-trusted"}
    assert bench.node._answers.unsaid == 24 and not vehicle.inbox.waiting()


def test_a_command_that_was_cut_off_is_not_done_again_and_says_so(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body
) -> None:
    bench = vehicle.start()
    bench.node._go_on = lambda memory: None  # type: ignore[method-assign]  # killed before it was done
    vehicle.inbox.put(signed(name_unnamed(command(verb="set-metered", arguments={"metered": "yes"}))))
    bench.step(10)
    bench.node._memory = None  # a killed process writes nothing
    again = vehicle.start()
    again.step(10)
    (result,) = outbox.results()
    assert (result["state"], result["reason"]) == ("interrupted", "cut-off")
    vehicle.inbox.put(signed(name_unnamed(command(verb="set-metered", arguments={"metered": "yes"}))))
    again.step(10)
    assert len(outbox.results()) == 1


@pytest.mark.slow
def test_answers_wait_for_an_outbox_that_is_away_also_over_a_restart(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body
) -> None:
    outbox.shut()
    bench = vehicle.start()
    vehicle.inbox.put(signed(name_unnamed(command())))
    bench.step(10)
    condition = bench.node_vitals.condition
    assert condition is not None and condition[1] == "downlink-outbox"
    assert len(read_memory(vehicle.data_dir).untold) == 1
    bench.close()
    outbox.open()
    bench = vehicle.start()
    bench.step(10)
    assert [result["state"] for result in outbox.results()] == ["done"]
    assert bench.node_vitals.condition is None


def test_metered_is_set_as_a_person_would(vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body) -> None:
    bench = vehicle.start()
    vehicle.inbox.put(signed(name_unnamed(command(verb="set-metered", arguments={"metered": "yes"}))))
    vehicle.inbox.put(signed(name_unnamed(command("c-2", verb="set-metered", arguments={"metered": "maybe"}))))
    vehicle.inbox.put(signed(name_unnamed(command("c-3", verb="set-metered"))))
    bench.step(10)
    wishes = read_wishes(uplink_dir(vehicle.data_dir))
    assert wishes.metered == "yes" and wishes.by == "ops: c-1"
    states = {result["name"]: (result["state"], result["reason"]) for result in outbox.results()}
    assert states == {"c-1": ("done", ""), "c-2": ("refused", "arguments"), "c-3": ("refused", "arguments")}


@pytest.mark.parametrize(
    ("seconds", "speed_mps", "engagement", "text"),
    [
        (6.0, 5.0, "disabled", "moves"),
        (6.0, 0.0, "enabled", "engaged"),
        (2.0, 0.0, "disabled", "stood for"),
        (0.0, 0.0, "disabled", "does not say who drives"),
    ],
)
def test_a_node_is_not_restarted_unless_the_vehicle_is_parked_as_seen_here(
    vehicle: Vehicle,
    outbox: Outbox,
    signed: Signed,
    command: Body,
    seconds: float,
    speed_mps: float,
    engagement: str,
    text: str,
) -> None:
    bench = vehicle.start()
    drive(bench, seconds, speed_mps, engagement)
    vehicle.inbox.put(signed(name_unnamed(command(verb="restart-node", arguments={"node": "state"}))))
    bench.step(10)
    (result,) = outbox.results()
    assert (result["state"], result["reason"]) == ("refused", "not-parked") and text in result["text"]


def test_a_node_that_drives_or_is_not_there_is_never_restarted(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body
) -> None:
    bench = vehicle.start()
    plan = bench.node._means.plan
    driving = [msgspec.structs.replace(node, realtime=True) for node in plan.nodes]
    bench.node._means = bench.node._means._replace(plan=msgspec.structs.replace(plan, nodes=driving))
    drive(bench, 6.0, 0.0)
    for number, node in enumerate(("state", "stat")):
        body = command(f"c-{number}", verb="restart-node", arguments={"node": node})
        vehicle.inbox.put(signed(name_unnamed(body)))
    bench.step(1)
    drive(bench, 1.0, 0.0)
    assert sorted(result["reason"] for result in outbox.results()) == ["no-such-node", "not-this-node"]


def test_a_parked_vehicle_restarts_a_node_and_waits_for_it(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body
) -> None:
    import subprocess

    bench = vehicle.start()
    words = bench.vitals.nodes["state"].words
    with subprocess.Popen(["sleep", "60"]) as process:
        words[NodeVitals.PID], words[NodeVitals.STARTS] = process.pid, 1
        words[NodeVitals.STATE] = NodeState.RUNNING
        drive(bench, 6.0, 0.0)
        vehicle.inbox.put(signed(name_unnamed(command(verb="restart-node", arguments={"node": "state"}))))
        drive(bench, 0.5, 0.0)
        assert process.wait(10) == -15
    assert outbox.results() == []
    words[NodeVitals.STARTS] = 2
    drive(bench, 0.5, 0.0)
    (result,) = outbox.results()
    assert result["state"] == "done" and result["output"] == {"verb": "restart-node", "node": "state", "starts": 2}


@pytest.mark.slow
def test_a_bundle_needs_consent_and_holds_the_ends_of_the_logs(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, command: Body
) -> None:
    logs = vehicle.data_dir / "logs"
    bench = vehicle.start(PrivacySettings(consent=["operation"]))
    bench.node._means = bench.node._means._replace(logs=logs)
    logs.mkdir()
    (logs / "control.log").write_text("".join(f"line {number}\n" for number in range(20_000)))
    vehicle.inbox.put(signed(name_unnamed(command(verb="collect-bundle"))))
    bench.step(10)
    assert outbox.results()[0]["reason"] == "no-consent"
    ConsentFile(vehicle.data_dir, []).say(["diagnostics"], given=True, by="anna", clock=FakeClock())
    vehicle.inbox.put(signed(name_unnamed(command("c-2", verb="collect-bundle"))))
    bench.step(30)
    result = outbox.results()[1]
    parts = [record["message"] for record in outbox.records(RecordClass.TREND)]
    assert result["state"] == "done" and result["output"]["records"] == len(parts)
    text = "".join(part["text"] for part in parts if part["name"] == "control.log")
    assert text.endswith("line 19999\n") and text.startswith("line ") and len(text) < 100_000
    assert parts[0]["name"] == "state.json" and "node" in parts[0]["text"]


@pytest.mark.slow
def test_a_campaign_collects_what_it_says_until_its_budget_is_spent(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, campaign: Body
) -> None:
    bench = vehicle.start()
    vehicle.inbox.put(signed(campaign(max_bytes=3000)))
    drive(bench, 1.0, 1.0)
    drive(bench, 5.0, 1.0)
    records = outbox.records(RecordClass.EVENT)
    assert {(record["topic"], record["campaign"]) for record in records} == {("bridge/verdict", "brakes@1")}
    first, last = outbox.results()
    assert (first["state"], first["name"]) == ("accepted", "brakes@1")
    assert (last["state"], last["text"]) == ("ended", "its budget is spent")
    assert 3000 <= last["output"]["bytes"] < 3600
    count = len(records)
    drive(bench, 1.0, 1.0)
    assert len(outbox.records(RecordClass.EVENT)) == count


@pytest.mark.slow
def test_a_campaign_goes_on_after_a_restart_and_ends_when_a_version_collects_nothing(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, campaign: Body
) -> None:
    bench = vehicle.start()
    vehicle.inbox.put(signed(campaign()))
    drive(bench, 1.0, 1.0)
    bench.close()
    bench = vehicle.start()
    before = len(outbox.records(RecordClass.EVENT))
    drive(bench, 1.0, 1.0)
    after = len(outbox.records(RecordClass.EVENT))
    assert after >= before + 18
    vehicle.inbox.put(signed(campaign(version=2, collect=[])))
    drive(bench, 1.0, 1.0)
    assert [result["state"] for result in outbox.results()] == ["accepted", "ended"]
    count = len(outbox.records(RecordClass.EVENT))
    drive(bench, 1.0, 1.0)
    assert len(outbox.records(RecordClass.EVENT)) == count


@pytest.mark.slow
def test_a_campaign_that_does_not_fit_changes_nothing(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, campaign: Body
) -> None:
    bench = vehicle.start()
    vehicle.inbox.put(signed(campaign()))
    drive(bench, 0.5, 1.0)
    vehicle.inbox.put(signed(campaign(version=2, collect=[{"topics": ["bridge/verdit"]}])))
    drive(bench, 0.5, 1.0)
    refused = outbox.results()[-1]
    assert refused["reason"] == "does-not-fit" and 'did you mean "bridge/verdict"' in refused["text"]
    assert read_memory(vehicle.data_dir).campaigns["brakes"].campaign.version == 1


def test_a_campaign_collects_nothing_for_a_purpose_that_nobody_consents_to(
    vehicle: Vehicle, outbox: Outbox, signed: Signed, campaign: Body
) -> None:
    bench = vehicle.start(PrivacySettings(consent=["operation"], default_purpose="operation"))
    vehicle.inbox.put(signed(campaign()))
    drive(bench, 1.0, 1.0)
    assert outbox.records(RecordClass.EVENT) == []
    assert read_memory(vehicle.data_dir).campaigns["brakes"].spent_bytes == 0


def test_a_memory_that_cannot_be_read_lets_nothing_be_done_twice(vehicle: Vehicle) -> None:
    path = memory_path(vehicle.data_dir)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{")
    with pytest.raises(DeviceError, match="which commands were done"):
        vehicle.start()


def test_nothing_from_outside_can_reach_a_node_that_drives() -> None:
    for node in (Live, Downlink):
        assert node.ports().outputs == {}, "it publishes no topic, so nobody can read from it"
