"""The uplink node: what is complete in the outbox goes to the store, when that is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads
from typing import Any

import msgspec
import pytest
import zstandard

from cardan.runtime.errors import DeviceError
from cardan.runtime.outbox.folder import class_dir, outbox_dir
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.privacy.consent import ConsentFile
from cardan.runtime.privacy.settings import PrivacySettings
from cardan.runtime.testing import Bench
from cardan.runtime.uplink.node import Uplink, UplinkConfig
from cardan.runtime.uplink.status import SyncStatus, sync_status_or_none, uplink_dir
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.stores.store import Outcome
from cardan.runtime.uplink.wishes import UplinkWishes, WishesFile, read_wishes, write_wishes


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
    privacy = PrivacySettings(consent=["operation"])
    return Bench(Uplink, config=UplinkConfig(**config), data_dir=data_dir, privacy=privacy)


def settle(bench: Bench[Uplink]) -> None:
    """One step, and until there is nothing left to send."""
    bench.step()
    assert bench.node.settle(timeout_s=10.0)


def status_of(data_dir: Path) -> SyncStatus:
    status = sync_status_or_none(data_dir)
    assert status is not None
    return status


def numbers_at(folder: Path) -> list[int]:
    return [
        json.loads(line)["number"]
        for path in sorted(folder.rglob("*.jsonl.zst"))
        for line in zstandard.decompress(path.read_bytes()).splitlines()
    ]


def test_what_is_complete_goes_to_the_store(tmp_path: Path, queue: Queue) -> None:
    with bench_with(tmp_path, consent=True) as bench:
        seal(queue, 1, 2)
        seal(queue, 3)
        settle(bench)
        assert bench.metric("synced")[1] == 3
        assert numbers_at(tmp_path / "store") == [1, 2, 3]
        status = status_of(tmp_path)
        assert str(status.ledger) == "produced 3 = delivered 3 + pending 0 + evicted 0"
        assert status.report.objects == 2 and status.report.last_delivery_wall_ns is not None


def test_what_the_outbox_completes_at_the_very_end_still_leaves(tmp_path: Path, queue: Queue) -> None:
    with bench_with(tmp_path, consent=True) as bench:
        settle(bench)
        seal(queue, 1)
        queue.close()
    assert numbers_at(tmp_path / "store") == [1]


def test_without_consent_nothing_leaves_and_nothing_is_forgotten(tmp_path: Path, queue: Queue) -> None:
    seal(queue, 1, 2)
    with bench_with(tmp_path) as bench:
        settle(bench)
    assert numbers_at(tmp_path) == []
    status = status_of(tmp_path)
    assert status.ledger.pending == 2 and not status.report.consent
    with bench_with(tmp_path, consent=True) as bench:
        settle(bench)
    assert numbers_at(tmp_path / "store") == [1, 2]


def test_an_unreachable_store_is_named_and_everything_waits(tmp_path: Path, queue: Queue) -> None:
    missing = tmp_path / "usb-stick"
    seal(queue, 1)
    with bench_with(tmp_path, consent=True, store=missing.as_uri()) as bench:
        settle(bench)
        status = status_of(tmp_path)
        assert status.report.problem is not None and "is the disk mounted" in status.report.problem
        assert status.ledger.delivered == 0
        missing.mkdir()
        for _ in range(40):
            bench.step()
        settle(bench)
        assert status_of(tmp_path).report.problem is None
    assert numbers_at(missing) == [1]


def test_what_was_kept_for_a_purpose_that_is_withdrawn_stays(tmp_path: Path, queue: Queue) -> None:
    queue.keep_under("0" * 16, ("operation", "improvement"))
    seal(queue, 1)
    queue.keep_under("0" * 16, ("operation",))
    seal(queue, 2)
    consent = ConsentFile(tmp_path, [])
    with bench_with(tmp_path, consent=True) as bench:
        settle(bench)
        assert numbers_at(tmp_path / "store") == [2]
        assert list(status_of(tmp_path).report.withdrawn.values()) == [("improvement",)]
        consent.say(["improvement"], given=True, by="anna", clock=bench.clock)
        settle(bench)
        assert sorted(numbers_at(tmp_path / "store")) == [1, 2]
        assert status_of(tmp_path).report.withdrawn == {}
        consent.say(["operation", "improvement"], given=False, by="anna", clock=bench.clock)
        seal(queue, 3)
        settle(bench)
        assert sorted(numbers_at(tmp_path / "store")) == [1, 2]
        assert status_of(tmp_path).report.holds["trend"].code == "consent"


def test_a_person_holds_a_class_back_and_lets_it_go(tmp_path: Path, queue: Queue) -> None:
    folder = uplink_dir(tmp_path)
    write_wishes(folder, UplinkWishes(paused=("trend",), by="anna"))
    with bench_with(tmp_path, consent=True) as bench:
        seal(queue, 1)
        settle(bench)
        assert numbers_at(tmp_path / "store") == []
        assert status_of(tmp_path).report.holds["trend"].code == "paused"
        write_wishes(folder, UplinkWishes())
        settle(bench)
        assert numbers_at(tmp_path / "store") == [1]
        assert status_of(tmp_path).report.holds == {}


def test_a_person_who_asks_is_not_kept_waiting(tmp_path: Path, queue: Queue) -> None:
    folder, missing = uplink_dir(tmp_path), tmp_path / "usb-stick"
    with bench_with(tmp_path, consent=True, store=missing.as_uri()) as bench:
        seal(queue, 1)
        for number in range(1, 30):  # tried, and put off for longer and longer
            write_wishes(folder, UplinkWishes(retries=number))
            settle(bench)
        assert status_of(tmp_path).report.failures == 1
        missing.mkdir()
        write_wishes(folder, UplinkWishes(retries=100))
        settle(bench)
    assert numbers_at(missing) == [1]


def test_a_wish_that_cannot_be_read_was_not_said(tmp_path: Path) -> None:
    assert read_wishes(tmp_path) == UplinkWishes()
    (tmp_path / "wishes.json").write_text("{")
    assert WishesFile(tmp_path).read() == UplinkWishes()


def test_what_ends_the_thread_ends_the_node(tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench_with(tmp_path, consent=True) as bench:
        monkeypatch.setattr(FolderStore, "put", lambda *_: 1 // 0)
        seal(queue, 1)
        with pytest.raises(ZeroDivisionError):
            settle(bench)
        bench.node._worker = None  # closed by the loop, which has seen the error


def test_a_store_that_hangs_does_not_keep_the_process(
    tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Event()

    def hang(*_: object) -> Outcome:
        answer.wait(20)
        return Outcome.MADE

    monkeypatch.setattr(FolderStore, "put", hang)
    with bench_with(tmp_path, consent=True, close_timeout_s=0.05) as bench:
        seal(queue, 1)
        for _ in range(20):
            bench.step()  # and is not blocked
    threads = [thread for thread in enumerate_threads() if thread.name == "uplink"]
    answer.set()
    for thread in threads:
        thread.join(10)
    assert len(threads) == 1


def test_two_uplinks_do_not_share_an_outbox(tmp_path: Path) -> None:
    second = Bench(Uplink, data_dir=tmp_path, open_node=False)
    with bench_with(tmp_path), second, pytest.raises(DeviceError, match="belongs to another process"):
        second.node.open()


def test_a_setting_out_of_range_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"close_timeout_s": 0.0}, UplinkConfig)


def test_a_data_folder_without_an_outbox_has_no_status(tmp_path: Path) -> None:
    assert sync_status_or_none(tmp_path) is None
