"""The outbox node: topics in, complete segments out, and an account that adds up."""

from __future__ import annotations

import json
import resource
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.log.read import log_folder
from cardan.runtime.log.record import LogRecord, encode
from cardan.runtime.messages import BridgeVerdict, CameraFrame, CanFrame, CanFrames, Message
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir, outbox_dir
from cardan.runtime.outbox.ledger import Ledger, read_ledgers
from cardan.runtime.outbox.node import Outbox, OutboxConfig
from cardan.runtime.outbox.peek import Peek
from cardan.runtime.outbox.producer import NotKept, Producer
from cardan.runtime.outbox.segment import RecordClass, SegmentHeader, read_segment
from cardan.runtime.outbox.settings import ClassSettings
from cardan.runtime.privacy.consent import ConsentFile
from cardan.runtime.privacy.settings import PrivacySettings
from cardan.runtime.testing import Bench

TOPICS: dict[str, type[Message]] = {
    "can/frames": CanFrames,
    "bridge/verdict": BridgeVerdict,
    "camera/frame": CameraFrame,
}


def frames(number: int) -> CanFrames:
    return CanFrames(frames=[CanFrame(channel="main", id=number, data=b"12345678", stamp_ns=number)])


def verdict(cycle: int) -> BridgeVerdict:
    return BridgeVerdict(
        cycle=cycle,
        engagement="enabled",
        armed=True,
        accepted=True,
        reason="ok",
        cause="",
        steering_rad=0.0,
        accel_mps2=0.0,
    )


def bench_with(data_dir: Path, **config: Any) -> Bench[Outbox]:
    privacy = PrivacySettings(consent=["improvement", "operation"])
    return Bench(Outbox, config=OutboxConfig(**config), data_dir=data_dir, topics=TOPICS, privacy=privacy)


def run(bench: Bench[Outbox], steps: int) -> None:
    for number in range(steps):
        bench.send("topics", frames(number), topic="can/frames")
        bench.step()


def account(data_dir: Path, kind: RecordClass = RecordClass.TREND) -> Ledger:
    return read_ledgers(outbox_dir(data_dir))[kind]


def kept(data_dir: Path, kind: RecordClass = RecordClass.TREND) -> list[dict[str, Any]]:
    """The payloads of everything of one class that is complete, as the uplink would get it."""
    claims = Claims(outbox_dir(data_dir))
    claims.open()
    found = []
    while (claim := claims.oldest_or_none([kind])) is not None:
        found += [msgspec.json.decode(record.payload) for record in claim.records()]
    claims.close()
    return found


def test_every_message_is_complete_when_the_run_is_over(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0) as bench:
        run(bench, 25)
        assert bench.metric("records")[1] == 24 + 1, (
            "what came with the last step waits, and a reading of the clock is there"
        )
    found = kept(tmp_path)
    assert [line["message"]["frames"][0]["id"] for line in found] == list(range(25))
    assert found[0]["topic"] == "can/frames"
    assert found[0]["type"] == "cardan.runtime.messages:CanFrames"
    assert [line["topic_seq"] for line in found] == list(range(25))
    assert str(account(tmp_path)) == "produced 25 = delivered 0 + pending 25 + evicted 0"


def test_a_segment_is_complete_after_its_time_even_when_it_is_small(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0, limits={"trend": ClassSettings(seal_s=1.0)}) as bench:
        run(bench, 25)
        assert len(kept(tmp_path)) == 20


def test_what_the_uplink_has_delivered_is_counted_and_gone(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0, limits={"trend": ClassSettings(seal_s=1.0)}) as bench:
        run(bench, 25)
        claims = Claims(outbox_dir(tmp_path))
        claims.open()
        claim = claims.oldest_or_none([RecordClass.TREND])
        assert claim is not None
        claim.delivered()
        assert str(account(tmp_path)) == "produced 24 = delivered 20 + pending 4 + evicted 0"
        run(bench, 3)
        assert bench.metric("delivered")[1] == 20
        claims.close()
    assert len(kept(tmp_path)) == 8


def test_topics_are_thinned_to_their_rates(tmp_path: Path) -> None:
    rates = {"can/frames": 0.0, "bridge/verdict": 2.0}
    with bench_with(tmp_path, rates_hz=rates) as bench:
        for number in range(100):
            bench.send("topics", frames(number), topic="can/frames")
            bench.send("topics", verdict(number), topic="bridge/verdict")
            bench.step()
    topics = [line["topic"] for line in kept(tmp_path)]
    assert topics.count("can/frames") == 100
    assert topics.count("bridge/verdict") == 10


def test_a_disk_that_refuses_is_a_fault_and_the_refused_are_counted(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0) as bench:
        run(bench, 10)
        bench.step()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            run(bench, 5)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        bench.step()
        assert bench.fault is not None and bench.fault[1] == "outbox-disk"
        assert bench.node_vitals.condition is not None and bench.node_vitals.condition[1] == "outbox-disk"
        bench.clock.advance_s(10)
        run(bench, 10)
        assert bench.node_vitals.condition is None
        assert bench.metric("refused")[1] == 5
    assert account(tmp_path).produced == 20
    assert account(tmp_path).exact


def test_a_picture_is_refused_by_name_and_the_rest_goes_on(tmp_path: Path) -> None:
    with bench_with(tmp_path) as bench:
        bench.send("topics", CameraFrame(frame_id=1, image=np.zeros((4, 4, 3), np.uint8)), topic="camera/frame")
        run(bench, 1)
        assert bench.fault is not None and "camera/frame: pictures go to the recorder" in bench.fault[2]
    assert [line["topic"] for line in kept(tmp_path)] == ["can/frames"]


def test_a_full_queue_gives_up_the_oldest_and_the_account_says_how_many(tmp_path: Path) -> None:
    small = {"trend": ClassSettings(max_bytes=1 << 16, segment_bytes=1 << 12)}
    with bench_with(tmp_path, default_rate_hz=0, limits=small) as bench:
        for number in range(40):
            for _ in range(10):
                bench.send("topics", frames(number), topic="can/frames")
            bench.step()
        assert bench.metric("evicted")[1] > 0
    ledger = account(tmp_path)
    assert ledger.exact and ledger.evicted > 0
    told = [line["message"] for line in kept(tmp_path, RecordClass.CRITICAL) if line["topic"] == "outbox/evicted"]
    assert sum(item["records"] for item in told) == ledger.evicted
    assert {(item["stream"], item["reason"]) for item in told} == {("trend", "full")}
    assert sum(path.stat().st_size for path in (tmp_path / "outbox" / "trend").iterdir() if path.is_file()) <= 1 << 16


def test_topics_have_the_classes_of_the_settings(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0, classes={"bridge/*": "event", "can/frames": "bulk"}) as bench:
        run(bench, 3)
        bench.send("topics", verdict(1), topic="bridge/verdict")
        bench.step()
    assert [line["topic"] for line in kept(tmp_path, RecordClass.EVENT)] == ["bridge/verdict"]
    assert len(kept(tmp_path, RecordClass.BULK)) == 3
    assert RecordClass.TREND in read_ledgers(outbox_dir(tmp_path)) and kept(tmp_path) == []


def test_faults_and_engagement_changes_of_the_run_are_critical_records(tmp_path: Path) -> None:
    log = log_folder(tmp_path) / "bench" / "control.log"
    log.parent.mkdir(parents=True)
    with bench_with(tmp_path) as bench:
        with log.open("ab") as file:
            for level, code in (("info", "node-ready"), ("info", "engagement"), ("error", "engine-late")):
                file.write(encode(LogRecord(t_ns=5, wall_s=2e9, level=level, code=code, node="n", text="t", fields={})))
        bench.step()
        assert account(tmp_path, RecordClass.CRITICAL).produced == 3, "they are durable when the step is over"
    topics = [line["topic"] for line in kept(tmp_path, RecordClass.CRITICAL)]
    assert topics == ["outbox/clock", "log/engagement", "log/engine-late"]


def test_a_node_that_babbles_costs_fifty_records_a_second(tmp_path: Path) -> None:
    log = log_folder(tmp_path) / "bench" / "control.log"
    log.parent.mkdir(parents=True)
    line = encode(LogRecord(t_ns=5, wall_s=2e9, level="error", code="x", node="n", text="t", fields={}))
    with bench_with(tmp_path) as bench:
        log.write_bytes(line * 500)
        bench.step()
        assert bench.metric("refused")[1] == 450
    assert len(kept(tmp_path, RecordClass.CRITICAL)) == 51


def test_an_outbox_that_is_killed_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0) as bench:
        run(bench, 4)
    with bench_with(tmp_path, default_rate_hz=0) as bench:
        run(bench, 4)
    assert account(tmp_path).pending == 8


def test_a_jump_of_the_wall_clock_is_a_record_and_changes_no_order(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0) as bench:
        for jump_s in (0.0, -20 * 365.25 * 86400, 22 * 365.25 * 86400, *[3600.0] * 100):
            bench.clock.jump_wall_s(jump_s)
            run(bench, 1)
            bench.clock.advance_s(1.0)
    readings = [line["message"] for line in kept(tmp_path, RecordClass.CRITICAL)]
    assert [reading["quality"] for reading in readings[:2]] != ["unset", "unset"]
    assert len(readings) == 103
    assert all(reading["moved_ns"] for reading in readings[1:])
    ids = [line["message"]["frames"][0]["id"] for line in kept(tmp_path)]
    assert len(ids) == 103 and account(tmp_path).evicted == 0


def test_two_outboxes_do_not_share_a_folder(tmp_path: Path) -> None:
    second = Bench(Outbox, data_dir=tmp_path, topics=TOPICS, open_node=False)
    with bench_with(tmp_path), second, pytest.raises(DeviceError, match="belongs to another process"):
        second.node.open()


def test_a_vehicle_name_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    config = OutboxConfig(vehicle_id="../x")
    bench = Bench(Outbox, config=config, data_dir=tmp_path, topics=TOPICS, open_node=False)
    with bench, pytest.raises(ConfigError, match="vehicle_id"):
        bench.node.open()


@pytest.mark.parametrize(
    "bad",
    [
        {"max_bytes": 1},
        {"rates_hz": {"a/b": -1.0}},
        {"limits": {"trend": {"seal_s": 0.0}}},
        {"classes": {"a/b": "urgent"}},
    ],
)
def test_a_setting_out_of_range_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, OutboxConfig)


def test_limits_that_do_not_go_together_are_found_before_anything_starts() -> None:
    small = OutboxConfig(limits={"bulk": ClassSettings(max_bytes=1 << 20)})
    with Bench(Outbox, config=small, topics=TOPICS, open_node=False) as bench:
        (found,) = Outbox.review(bench.plan, bench.plan.nodes[0])
    assert "bulk: 1048576 bytes cannot hold four segments" in found.what
    assert found.path == ("nodes", "node", "config", "limits")


def test_what_nobody_has_consented_to_never_reaches_the_disk(tmp_path: Path) -> None:
    privacy = PrivacySettings(consent=["operation"], purposes={"bridge/*": "operation"})
    config = OutboxConfig(default_rate_hz=0)
    with Bench(Outbox, config=config, data_dir=tmp_path, topics=TOPICS, privacy=privacy) as bench:
        for number in range(5):
            bench.send("topics", frames(number), topic="can/frames")
            bench.send("topics", verdict(number), topic="bridge/verdict")
            bench.step()
        assert bench.metric("withheld")[1] == 5
    assert {record["topic"] for record in kept(tmp_path)} == {"bridge/verdict"}
    assert account(tmp_path).produced == 5
    assert not any(b"can/frames" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_word_of_consent_counts_while_the_outbox_runs_and_each_segment_says_its_policy(tmp_path: Path) -> None:
    privacy = PrivacySettings(consent=["operation"])
    config = OutboxConfig(default_rate_hz=0)
    with Bench(Outbox, config=config, data_dir=tmp_path, topics=TOPICS, privacy=privacy) as bench:
        person = ConsentFile(tmp_path, ["operation"])
        for given in (False, True, False):
            person.say(["improvement"], given=given, by="anna", clock=bench.clock)
            run(bench, 3)
            bench.step(2)
            if given:
                assert sum(record["topic"] == "can/frames" for record in open_records(tmp_path)) == 3
    headers = segment_headers(tmp_path)
    assert [header.purposes for header in headers] == [("operation",)] and headers[0].policy
    assert [record["topic"] for record in kept(tmp_path)] == ["outbox/erased"] * 3, "it was withdrawn again"


def test_what_comes_through_the_door_passes_the_policy_too(tmp_path: Path) -> None:
    privacy = PrivacySettings(consent=["operation"], purposes={"bridge/*": "operation"})
    bench = Bench(Outbox, data_dir=tmp_path, topics=TOPICS, privacy=privacy)
    with bench, Answering(bench), Producer(outbox_dir(tmp_path), "p") as producer:
        producer.put(RecordClass.EVENT, b'{"topic":"bridge/verdict","message":{}}')
        producer.put(RecordClass.EVENT, b'{"topic":"can/frames","message":{}}')
        with pytest.raises(NotKept, match="must be a JSON object"):
            producer.put(RecordClass.EVENT, b"what?")
        producer.put(RecordClass.EVENT, b'{"topic":"bridge/verdict","message":{}}')
    topics = [line["topic"] for line in kept(tmp_path, RecordClass.EVENT)]
    assert topics == ["bridge/verdict", "outbox/withheld", "bridge/verdict"]


class Answering:
    """Steps a node on a thread of its own as long as this lasts."""

    def __init__(self, bench: Bench[Outbox]) -> None:
        self._bench = bench
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._ends.wait(0.001):
            self._bench.step()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()


def open_records(data_dir: Path) -> list[dict[str, Any]]:
    records = Peek(class_dir(outbox_dir(data_dir), RecordClass.TREND)).after(0)
    return [json.loads(record.payload) for record in records]


def segment_headers(data_dir: Path) -> list[SegmentHeader]:
    paths = sorted((data_dir / "outbox" / "trend").rglob("*.sealed"))
    return [header for path in paths if (header := read_segment(path.read_bytes()).header) is not None]
