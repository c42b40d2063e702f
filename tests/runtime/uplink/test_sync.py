"""Delivery: once each, resumable, patient with the store, and never stopped by one bad segment."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from random import Random

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.uplink.folder import sealed_path
from cardan.runtime.uplink.objects import object_name
from cardan.runtime.uplink.queue import Queue, QueueLimits
from cardan.runtime.uplink.segment import RecordClass
from cardan.runtime.uplink.store import FolderStore, StoreError
from cardan.runtime.uplink.sync import LONGEST_WAIT_NS, Sync


class MostPatient(Random):
    """Jitter at its longest."""

    def random(self) -> float:
        return 1.0


class UnreliableStore(FolderStore):
    """Refuses the first tries, and loses the answer of one that worked when asked to."""

    def __init__(self, root: Path, refusals: int = 0, lost_answers: int = 0) -> None:
        super().__init__(root)
        self.refusals, self.lost_answers = refusals, lost_answers
        self.tries = 0

    def create(self, name: str, data: bytes) -> bool:
        self.tries += 1
        if self.refusals:
            self.refusals -= 1
            raise StoreError("no link")
        made = super().create(name, data)
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreError("the answer was lost")
        return made


def queue_with(folder: Path, segments: int) -> Queue:
    queue = Queue(folder, vehicle="v", boot="b", stream="telemetry", limits=QueueLimits())
    queue.open()
    for number in range(segments):
        for half in (0, 1):
            payload = json.dumps({"number": 2 * number + half}).encode()
            queue.append(payload, kind=RecordClass.TREND, mono_ns=1, wall_ns=10**18)
        queue.commit()
        queue.seal()
    return queue


def numbers_at(store: Path) -> list[int]:
    lines = [gzip.decompress(path.read_bytes()).splitlines() for path in sorted(store.rglob("*.jsonl.gz"))]
    return [json.loads(line)["number"] for item in lines for line in item]


def test_segments_arrive_in_order_and_leave_the_queue(tmp_path: Path) -> None:
    queue = queue_with(tmp_path / "queue", 3)
    (tmp_path / "store").mkdir()
    sync = Sync(queue, FolderStore(tmp_path / "store"), Random(1))
    assert [sync.step(0) for _ in range(4)] == [2, 2, 2, 0]
    assert numbers_at(tmp_path / "store") == list(range(6))
    assert str(queue.ledger()) == "produced 6 = delivered 6 + pending 0 + evicted 0"
    assert sync.objects == 3 and sync.problem is None


def test_a_lost_answer_leads_to_no_second_object(tmp_path: Path) -> None:
    queue = queue_with(tmp_path / "queue", 2)
    (tmp_path / "store").mkdir()
    sync = Sync(queue, UnreliableStore(tmp_path / "store", lost_answers=1), Random(1))
    assert sync.step(0) == 0
    assert queue.ledger().pending == 4
    assert [sync.step(10**12 * i) for i in (1, 2)] == [2, 2]
    assert numbers_at(tmp_path / "store") == list(range(4))
    assert queue.ledger().exact


def test_waiting_doubles_up_to_its_limit_and_ends_with_a_success(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = UnreliableStore(tmp_path / "store", refusals=12)
    sync = Sync(queue_with(tmp_path / "queue", 1), store, MostPatient())
    tried_s: list[int] = []
    for now_s in range(3000):
        tries = store.tries
        delivered = sync.step(now_s * NS_PER_S)
        if store.tries > tries:
            tried_s.append(now_s)
        if delivered:
            break
        assert sync.problem == "no link"
    waits_s = [after - before for before, after in pairwise(tried_s)]
    assert waits_s == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert LONGEST_WAIT_NS == 300 * NS_PER_S
    assert sync.problem is None


def test_a_foreign_object_under_our_name_is_left_alone_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store = FolderStore(tmp_path / "store")
    queue = queue_with(tmp_path / "queue", 2)
    segment = queue.read_or_none(queue.sealed[0])
    assert segment is not None and segment.header is not None
    name = object_name(segment.header, segment.records[0], segment.records[-1])
    store.create(name, gzip.compress(b"{}\n"))
    sync = Sync(queue, store, Random(1))
    assert [sync.step(0), sync.step(0)] == [0, 2]
    assert sync.problem is not None and "holds another object" in sync.problem
    assert gzip.decompress(store.read(name)) == b"{}\n"
    assert [file.first for file in queue.sealed] == [1]


def test_a_damaged_segment_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    queue = queue_with(tmp_path / "queue", 3)
    path = sealed_path(queue.folder, 1, 2)
    path.write_bytes(path.read_bytes().replace(b'"number": 0', b'"number": 9'))
    sync = Sync(queue, FolderStore(tmp_path / "store"), Random(1))
    for _ in range(5):
        sync.step(0)
    assert numbers_at(tmp_path / "store") == [1, 2, 3, 4, 5]
    assert str(queue.ledger()) == "produced 6 = delivered 5 + pending 0 + evicted 0 + damaged 1"
