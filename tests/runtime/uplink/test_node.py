"""The uplink node: what is complete in the outbox goes to the store, when that is allowed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.errors import DeviceError
from cardan.runtime.outbox.folder import class_dir, outbox_dir
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.testing import Bench
from cardan.runtime.uplink.node import Uplink, UplinkConfig
from cardan.runtime.uplink.status import SyncStatus, sync_status_or_none


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    folder = class_dir(outbox_dir(tmp_path), RecordClass.TREND)
    queue = Queue(folder, vehicle="v", boot="b", stream="trend", limits=QueueLimits())
    queue.open()
    yield queue
    queue.close()


def seal(queue: Queue, *numbers: int) -> None:
    """One complete segment."""
    for number in numbers:
        queue.append(b'{"number":%d}' % number, kind=RecordClass.TREND, mono_ns=1, wall_ns=10**18)
    queue.commit()
    queue.seal()


def bench_with(data_dir: Path, **config: Any) -> Bench[Uplink]:
    return Bench(Uplink, config=UplinkConfig(**config), data_dir=data_dir)


def status_of(data_dir: Path) -> SyncStatus:
    status = sync_status_or_none(data_dir)
    assert status is not None
    return status


def numbers_at(folder: Path) -> list[int]:
    return [
        json.loads(line)["number"]
        for path in sorted(folder.rglob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def test_what_is_complete_goes_to_the_store(tmp_path: Path, queue: Queue) -> None:
    with bench_with(tmp_path, consent=True) as bench:
        seal(queue, 1, 2)
        seal(queue, 3)
        bench.step()
        assert bench.metric("synced")[1] == 3
        assert numbers_at(tmp_path / "store") == [1, 2, 3]
        status = status_of(tmp_path)
        assert str(status.ledger) == "produced 3 = delivered 3 + pending 0 + evicted 0"
        assert status.report.objects == 2 and status.report.last_delivery_wall_ns is not None


def test_what_the_outbox_completes_at_the_very_end_still_leaves(tmp_path: Path, queue: Queue) -> None:
    with bench_with(tmp_path, consent=True) as bench:
        bench.step()
        seal(queue, 1)
        queue.close()
    assert numbers_at(tmp_path / "store") == [1]


def test_without_consent_nothing_leaves_and_nothing_is_forgotten(tmp_path: Path, queue: Queue) -> None:
    seal(queue, 1, 2)
    with bench_with(tmp_path) as bench:
        bench.step()
    assert numbers_at(tmp_path) == []
    status = status_of(tmp_path)
    assert status.ledger.pending == 2 and not status.report.consent
    with bench_with(tmp_path, consent=True) as bench:
        bench.step()
    assert numbers_at(tmp_path / "store") == [1, 2]


def test_an_unreachable_store_is_named_and_everything_waits(tmp_path: Path, queue: Queue) -> None:
    missing = tmp_path / "usb-stick"
    seal(queue, 1)
    with bench_with(tmp_path, consent=True, store=missing.as_uri()) as bench:
        bench.step()
        status = status_of(tmp_path)
        assert status.report.problem is not None and "is the disk mounted" in status.report.problem
        assert status.ledger.delivered == 0
        missing.mkdir()
        for _ in range(40):
            bench.step()
        assert status_of(tmp_path).report.problem is None
    assert numbers_at(missing) == [1]


def test_two_uplinks_do_not_share_an_outbox(tmp_path: Path) -> None:
    second = Bench(Uplink, data_dir=tmp_path, open_node=False)
    with bench_with(tmp_path), second, pytest.raises(DeviceError, match="belongs to another process"):
        second.node.open()


def test_a_setting_out_of_range_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"close_timeout_s": 0.0}, UplinkConfig)


def test_a_data_folder_without_an_outbox_has_no_status(tmp_path: Path) -> None:
    assert sync_status_or_none(tmp_path) is None
