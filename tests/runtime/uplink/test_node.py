"""The outbox node: topics in, objects out, and an account that adds up."""

from __future__ import annotations

import gzip
import json
import resource
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.messages import BridgeVerdict, CameraFrame, CanFrame, CanFrames, Message
from cardan.runtime.testing import Bench
from cardan.runtime.uplink.node import Outbox, OutboxConfig
from cardan.runtime.uplink.status import SyncStatus, sync_status_or_none

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
    return Bench(Outbox, config=OutboxConfig(**config), data_dir=data_dir, topics=TOPICS)


def run(bench: Bench[Outbox], steps: int) -> None:
    for number in range(steps):
        bench.send("topics", frames(number), topic="can/frames")
        bench.step()


def status_of(data_dir: Path) -> SyncStatus:
    status = sync_status_or_none(data_dir)
    assert status is not None
    return status


def lines_at_store(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.rglob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def test_every_message_is_at_the_store_when_the_run_is_over(tmp_path: Path) -> None:
    with bench_with(tmp_path, consent=True, default_rate_hz=0) as bench:
        run(bench, 25)
        assert bench.metric("records")[1] == 25
    found = lines_at_store(tmp_path / "store")
    assert [line["message"]["frames"][0]["id"] for line in found] == list(range(25))
    assert found[0]["topic"] == "can/frames"
    assert found[0]["type"] == "cardan.runtime.messages:CanFrames"
    assert [line["topic_seq"] for line in found] == list(range(25))
    assert str(status_of(tmp_path).ledger) == "produced 25 = delivered 25 + pending 0 + evicted 0"


def test_without_consent_nothing_leaves_and_nothing_is_forgotten(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0) as bench:
        run(bench, 25)
    assert lines_at_store(tmp_path) == []
    status = status_of(tmp_path)
    assert status.ledger.pending == 25 and not status.report.consent
    with bench_with(tmp_path, consent=True) as bench:
        bench.step()
    assert len(lines_at_store(tmp_path / "store")) == 25


def test_a_segment_leaves_after_its_time_even_when_it_is_small(tmp_path: Path) -> None:
    with bench_with(tmp_path, consent=True, seal_interval_s=1.0) as bench:
        run(bench, 12)
        assert status_of(tmp_path).ledger.delivered == 10
        assert status_of(tmp_path).report.last_delivery_wall_ns is not None


def test_topics_are_thinned_to_their_rates(tmp_path: Path) -> None:
    rates = {"can/frames": 0.0, "bridge/verdict": 2.0}
    with bench_with(tmp_path, consent=True, rates_hz=rates) as bench:
        for number in range(100):
            bench.send("topics", frames(number), topic="can/frames")
            bench.send("topics", verdict(number), topic="bridge/verdict")
            bench.step()
    topics = [line["topic"] for line in lines_at_store(tmp_path / "store")]
    assert topics.count("can/frames") == 100
    assert topics.count("bridge/verdict") == 20


def test_an_unreachable_store_is_named_and_everything_waits(tmp_path: Path) -> None:
    missing = tmp_path / "usb-stick"
    with bench_with(tmp_path, consent=True, store=missing.as_uri(), seal_interval_s=0.5) as bench:
        run(bench, 20)
        status = status_of(tmp_path)
        assert status.report.problem is not None and "is the disk mounted" in status.report.problem
        assert status.ledger.delivered == 0
        missing.mkdir()
        run(bench, 40)
        assert status_of(tmp_path).report.problem is None
    assert len(lines_at_store(missing)) == 60


def test_a_disk_that_refuses_is_a_fault_and_the_refused_are_counted(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0) as bench:
        run(bench, 10)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            run(bench, 5)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        run(bench, 10)
        assert bench.fault is not None and bench.fault[1] == "outbox-disk"
        assert bench.metric("refused")[1] == 5
    assert status_of(tmp_path).ledger.produced == 20
    assert status_of(tmp_path).ledger.exact


def test_a_picture_is_refused_by_name_and_the_rest_goes_on(tmp_path: Path) -> None:
    with bench_with(tmp_path, consent=True) as bench:
        bench.send("topics", CameraFrame(frame_id=1, image=np.zeros((4, 4, 3), np.uint8)), topic="camera/frame")
        run(bench, 1)
        assert bench.fault is not None and "camera/frame: pictures go to the recorder" in bench.fault[2]
    assert [line["topic"] for line in lines_at_store(tmp_path / "store")] == ["can/frames"]


def test_a_full_queue_gives_up_the_oldest_and_the_account_says_how_many(tmp_path: Path) -> None:
    with bench_with(tmp_path, default_rate_hz=0, max_bytes=1 << 16, segment_bytes=1 << 12) as bench:
        for number in range(40):
            for _ in range(10):
                bench.send("topics", frames(number), topic="can/frames")
            bench.step()
        assert bench.metric("evicted")[1] > 0
    ledger = status_of(tmp_path).ledger
    assert ledger.exact and ledger.evicted > 0
    assert sum(path.stat().st_size for path in (tmp_path / "outbox" / "telemetry").iterdir()) <= 1 << 16


def test_two_outboxes_do_not_share_a_folder(tmp_path: Path) -> None:
    second = Bench(Outbox, data_dir=tmp_path, topics=TOPICS, open_node=False)
    with bench_with(tmp_path), second, pytest.raises(DeviceError, match="belongs to another process"):
        second.node.open()


def test_a_vehicle_name_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    config = OutboxConfig(vehicle_id="../x")
    bench = Bench(Outbox, config=config, data_dir=tmp_path, topics=TOPICS, open_node=False)
    with bench, pytest.raises(ConfigError, match="vehicle_id"):
        bench.node.open()


@pytest.mark.parametrize("bad", [{"max_bytes": 1}, {"rates_hz": {"a/b": -1.0}}, {"seal_interval_s": 0.0}])
def test_a_setting_out_of_range_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, OutboxConfig)


def test_a_data_folder_without_an_outbox_has_no_status(tmp_path: Path) -> None:
    assert sync_status_or_none(tmp_path) is None
