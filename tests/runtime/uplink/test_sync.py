"""Delivery: once each, resumable, patient with the store, and never stopped by one bad segment."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import Place, class_dir, sealed_path, segments_in
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.objects import object_name
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.stores.store import Gate, Outcome, SealedObject, StoreError, open_gate
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

    def put(self, item: SealedObject, gate: Gate = open_gate) -> Outcome:
        self.tries += 1
        if self.refusals:
            self.refusals -= 1
            raise StoreError("no link")
        made = super().put(item, gate)
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreError("the answer was lost")
        return made


class Outbox:
    """A queue with complete segments, and the claims on it."""

    def __init__(self, folder: Path, segments: int) -> None:
        self.queue = Queue(
            class_dir(folder, RecordClass.TREND), vehicle="v", boot="b", stream="trend", limits=QueueLimits()
        )
        self.queue.open()
        for number in range(segments):
            for half in (0, 1):
                payload = json.dumps({"number": 2 * number + half}).encode()
                self.queue.append(payload, kind=RecordClass.TREND, mono_ns=1, wall_ns=10**18)
            self.queue.commit()
            self.queue.seal()
        self.claims = Claims(folder)
        self.claims.open()

    def ledger(self) -> str:
        self.queue.collect()
        return str(self.queue.ledger())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def numbers_at(store: Path) -> list[int]:
    lines = [gzip.decompress(path.read_bytes()).splitlines() for path in sorted(store.rglob("*.jsonl.gz"))]
    return [json.loads(line)["number"] for item in lines for line in item]


def test_segments_arrive_in_order_and_leave_the_queue(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 3)
    sync = Sync(outbox.claims, FolderStore(store), Random(1))
    assert [sync.step(0) for _ in range(4)] == [2, 2, 2, 0]
    assert numbers_at(store) == list(range(6))
    assert outbox.ledger() == "produced 6 = delivered 6 + pending 0 + evicted 0"
    assert sync.objects == 3 and sync.problem is None


def test_a_lost_answer_leads_to_no_second_object_and_to_no_eviction(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 2)
    sync = Sync(outbox.claims, UnreliableStore(store, lost_answers=1), Random(1))
    assert sync.step(0) == 0
    assert len(segments_in(outbox.queue.folder, Place.LEAVING)) == 1
    assert outbox.ledger() == "produced 4 = delivered 0 + pending 4 + evicted 0"
    assert [sync.step(10**12 * i) for i in (1, 2)] == [2, 2]
    assert numbers_at(store) == list(range(4))
    assert outbox.ledger() == "produced 4 = delivered 4 + pending 0 + evicted 0"


def test_waiting_doubles_up_to_its_limit_and_ends_with_a_success(tmp_path: Path, store: Path) -> None:
    unreliable = UnreliableStore(store, refusals=12)
    sync = Sync(Outbox(tmp_path / "outbox", 1).claims, unreliable, MostPatient())
    tried_s: list[int] = []
    for now_s in range(3000):
        tries = unreliable.tries
        delivered = sync.step(now_s * NS_PER_S)
        if unreliable.tries > tries:
            tried_s.append(now_s)
        if delivered:
            break
        assert sync.problem == "no link"
    waits_s = [after - before for before, after in pairwise(tried_s)]
    assert waits_s == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert LONGEST_WAIT_NS == 300 * NS_PER_S
    assert sync.problem is None


def test_a_foreign_object_under_our_name_is_left_alone_and_the_rest_goes_on(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 2)
    claim = outbox.claims.oldest_or_none()
    assert claim is not None
    records = claim.records()
    path = store / object_name(claim.header, records)
    claim.release()
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"{}\n"))
    sync = Sync(outbox.claims, FolderStore(store), Random(1))
    assert [sync.step(0), sync.step(0)] == [0, 2]
    assert sync.problem is not None and "holds another object" in sync.problem
    assert gzip.decompress(path.read_bytes()) == b"{}\n"
    assert outbox.ledger() == "produced 4 = delivered 2 + pending 2 + evicted 0"


def test_a_damaged_segment_does_not_stop_the_others(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 3)
    path = sealed_path(outbox.queue.folder, 1, 2)
    path.write_bytes(path.read_bytes().replace(b'"number": 0', b'"number": 9'))
    sync = Sync(outbox.claims, FolderStore(store), Random(1))
    for _ in range(5):
        sync.step(0)
        outbox.queue.collect()
    assert sorted(numbers_at(store)) == [1, 2, 3, 4, 5]
    assert outbox.ledger() == "produced 6 = delivered 5 + pending 0 + evicted 0 + damaged 1"
