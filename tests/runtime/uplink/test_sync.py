"""Delivery: once each, resumable, patient with the store, within budgets, and never stopped by one bad segment."""

from __future__ import annotations

import errno
import gzip
import json
import os
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from cardan.runtime.clock import NS_PER_S, FakeClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import Place, class_dir, sealed_path, segments_in
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader
from cardan.runtime.uplink.forms import Form, forms_with
from cardan.runtime.uplink.links import NO_LINK, Link
from cardan.runtime.uplink.names import Name
from cardan.runtime.uplink.objects import object_name
from cardan.runtime.uplink.parcels import SyncSettings
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.stores.store import Gate, Outcome, SealedObject, Store, StoreError, open_gate
from cardan.runtime.uplink.sync import LET_OUT, Progress, open_sync

MOBILE = Link(interface="wwan0", kind="mobile", metered=True, because="a link of kind mobile")
ABROAD = msgspec.structs.replace(LET_OUT, link=MOBILE, over_metered=("critical", "trend"))


class MostPatient(Random):
    """Jitter at its longest."""

    def random(self) -> float:
        return 1.0


class UnreliableStore(FolderStore):
    """Refuses the first tries, and loses the answer of one that worked when asked to."""

    def __init__(self, root: Path, refusals: int = 0, lost_answers: int = 0, **refusal: Any) -> None:
        super().__init__(root)
        self.refusals, self.lost_answers, self.refusal = refusals, lost_answers, refusal
        self.items: list[SealedObject] = []

    def put(self, item: SealedObject, gate: Gate = open_gate) -> Outcome:
        self.items.append(item)
        if self.refusals:
            gate(len(item.data))
            self.refusals -= 1
            raise StoreError("no link", **self.refusal)
        outcome = super().put(item, gate)
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreError("the answer was lost")
        return outcome


class Outbox:
    """Queues with complete segments of two records, and the claims on them."""

    def __init__(self, folder: Path, segments: int = 0) -> None:
        self.folder = folder
        self.queues: dict[RecordClass, Queue] = {}
        self.number = 0
        for _ in range(segments):
            self.seal()
        self.claims = Claims(folder)
        self.claims.open()

    def seal(self, kind: RecordClass = RecordClass.TREND, fill: str = "") -> None:
        if kind not in self.queues:
            folder, stream = class_dir(self.folder, kind), kind.name.lower()
            self.queues[kind] = Queue(folder, vehicle="v", boot="b", stream=stream, limits=QueueLimits())
            self.queues[kind].open()
        queue = self.queues[kind]
        for _ in range(2):
            payload = json.dumps({"number": self.number, "fill": fill}).encode()
            queue.append(payload, kind=kind, mono_ns=1, wall_ns=10**18)
            self.number += 1
        queue.commit()
        queue.seal()

    @property
    def trend(self) -> Queue:
        return self.queues[RecordClass.TREND]

    def ledger(self) -> str:
        self.trend.collect()
        return str(self.trend.ledger())


class Delivery:
    """A Sync that may send everything, on a fake clock."""

    def __init__(self, folder: Path, claims: Claims, store: Store, random: Random | None = None, **values: Any) -> None:
        self.clock = FakeClock()
        values = {"conditions": LET_OUT, **values}
        self.sync = open_sync(claims, store, folder / "uplink", clock=self.clock, random=random or Random(1), **values)

    def steps(self, count: int, pause_s: float = 0.0) -> list[int]:
        """What so many steps delivered."""
        found = []
        for _ in range(count):
            found.append(self.sync.step())
            self.clock.advance_s(pause_s)
        return found

    @property
    def progress(self) -> Progress:
        return self.sync.progress()


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
    delivery = Delivery(tmp_path, outbox.claims, FolderStore(store))
    assert delivery.steps(4) == [2, 2, 2, 0]
    assert numbers_at(store) == list(range(6))
    assert outbox.ledger() == "produced 6 = delivered 6 + pending 0 + evicted 0"
    assert (delivery.progress.objects, delivery.progress.problem) == (3, None)


def test_the_higher_class_goes_first(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 2)
    outbox.seal(RecordClass.CRITICAL)
    watched = UnreliableStore(store)
    Delivery(tmp_path, outbox.claims, watched).steps(3)
    assert ["/critical-" in item.name for item in watched.items] == [True, False, False]


def test_a_lost_answer_leads_to_no_second_object_and_to_no_eviction(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 2)
    delivery = Delivery(tmp_path, outbox.claims, UnreliableStore(store, lost_answers=1))
    assert delivery.steps(1) == [0]
    assert len(segments_in(outbox.trend.folder, Place.LEAVING)) == 1
    assert outbox.ledger() == "produced 4 = delivered 0 + pending 4 + evicted 0"
    delivery.clock.advance_s(1)
    assert delivery.steps(2) == [2, 2]
    assert numbers_at(store) == list(range(4))
    assert outbox.ledger() == "produced 4 = delivered 4 + pending 0 + evicted 0"


def test_waiting_doubles_up_to_its_limit_and_ends_with_a_success(tmp_path: Path, store: Path) -> None:
    unreliable = UnreliableStore(store, refusals=12)
    delivery = Delivery(tmp_path, Outbox(tmp_path / "outbox", 1).claims, unreliable, MostPatient())
    tried_s: list[int] = []
    for now_s in range(3000):
        tries = len(unreliable.items)
        delivered = delivery.steps(1, pause_s=1.0)
        if len(unreliable.items) > tries:
            tried_s.append(now_s)
        if delivered != [0]:
            break
        assert delivery.progress.problem == "no link"
    assert [after - before for before, after in pairwise(tried_s)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert (delivery.progress.problem, delivery.progress.failures) == (None, 0)


def test_a_key_is_tried_again_sooner(tmp_path: Path, store: Path) -> None:
    unreliable = UnreliableStore(store, refusals=12, kind="access", status=403)
    delivery = Delivery(tmp_path, Outbox(tmp_path / "outbox", 1).claims, unreliable, MostPatient())
    delivery.steps(230, pause_s=1.0)
    assert len(unreliable.items) >= 12
    assert delivery.progress.problem_kind == "access"


def test_somebody_who_asks_is_not_kept_waiting(tmp_path: Path, store: Path) -> None:
    unreliable = UnreliableStore(store, refusals=9)
    delivery = Delivery(tmp_path, Outbox(tmp_path / "outbox", 1).claims, unreliable, MostPatient())
    for _ in range(9):
        assert delivery.steps(2) == [0, 0]
        delivery.sync.retry()
    assert delivery.steps(1) == [2]


def test_a_foreign_object_under_our_name_is_left_alone_and_the_rest_goes_on(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 2)
    claim = outbox.claims.oldest_or_none()
    assert claim is not None
    path = store / object_name(claim.header, claim.records())
    claim.release()
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"{}\n"))
    delivery = Delivery(tmp_path, outbox.claims, FolderStore(store))
    assert delivery.steps(3) == [0, 2, 0]
    assert gzip.decompress(path.read_bytes()) == b"{}\n"
    assert outbox.ledger() == "produced 4 = delivered 2 + pending 2 + evicted 0"
    refused = delivery.progress.refused
    assert [name.refused for name in refused] == ["the store holds something else under this name, which is left there"]
    delivery.sync.close()
    again = Delivery(tmp_path, outbox.claims, FolderStore(store))  # also after a restart
    assert again.steps(2) == [0, 0]
    path.unlink()
    again.sync.retry()
    assert again.steps(2) == [2, 0]
    assert again.progress.refused == ()


def test_an_object_that_is_too_large_for_the_store_is_set_aside(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 2)
    delivery = Delivery(tmp_path, outbox.claims, UnreliableStore(store, refusals=1, kind="refused", status=413))
    delivery.steps(20, pause_s=1.0)
    assert numbers_at(store) == [2, 3]
    assert len(delivery.progress.refused) == 1


def test_a_damaged_segment_does_not_stop_the_others(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 3)
    path = sealed_path(outbox.trend.folder, 1, 2)
    path.write_bytes(path.read_bytes().replace(b'"number": 0', b'"number": 9'))
    delivery = Delivery(tmp_path, outbox.claims, FolderStore(store))
    for _ in range(5):
        delivery.steps(1)
        outbox.trend.collect()
    assert sorted(numbers_at(store)) == [1, 2, 3, 4, 5]
    assert outbox.ledger() == "produced 6 = delivered 5 + pending 0 + evicted 0 + damaged 1"


def test_a_name_stays_when_the_settings_change(tmp_path: Path, store: Path) -> None:
    forms = forms_with({})
    forms["other"] = Form("others", "x.gz", "x/y", forms["jsonl"].encode)
    outbox = Outbox(tmp_path / "outbox", 2)
    first = UnreliableStore(store, lost_answers=1)
    Delivery(tmp_path, outbox.claims, first).steps(1)
    outbox.claims.close()
    claims = Claims(outbox.folder)
    claims.open()
    second = UnreliableStore(store)
    assert Delivery(tmp_path, claims, second, settings=SyncSettings(forms=forms, form="other")).steps(2) == [2, 2]
    assert first.items[0] == second.items[0]
    assert second.items[1].name.startswith("v1/others/")
    assert numbers_at(store) == [0, 1]


def test_another_release_of_an_encoder_makes_no_second_object(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 1)
    Delivery(tmp_path, outbox.claims, UnreliableStore(store, lost_answers=1)).steps(1)
    outbox.claims.close()
    forms = forms_with({})
    forms["jsonl"] = forms["jsonl"]._replace(encode=lambda header, records: b"other bytes of the same")
    claims = Claims(outbox.folder)
    claims.open()
    assert Delivery(tmp_path, claims, FolderStore(store), settings=SyncSettings(forms=forms)).steps(1) == [2]
    assert outbox.ledger() == "produced 2 = delivered 2 + pending 0 + evicted 0"
    assert numbers_at(store) == [0, 1]


def test_what_a_form_cannot_say_is_written_as_lines(tmp_path: Path, store: Path) -> None:
    def fail(header: SegmentHeader, records: list[Record]) -> bytes:
        raise OverflowError("too large")

    forms = forms_with({})
    forms["parquet"] = forms["parquet"]._replace(encode=fail)
    faults: list[str] = []
    delivery = Delivery(
        tmp_path,
        Outbox(tmp_path / "outbox", 1).claims,
        FolderStore(store),
        settings=SyncSettings(forms=forms, form="parquet"),
        report_fault=lambda code, text: faults.append(f"{code} {text}"),
    )
    assert delivery.steps(1) == [2]
    assert numbers_at(store) == [0, 1]
    assert faults[0].startswith("uplink-form trend/") and faults[0].endswith("cannot be written as parquet: too large")


def test_names_are_forgotten_with_their_segments(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 3)
    delivery = Delivery(tmp_path, outbox.claims, FolderStore(store))
    delivery.steps(4)
    delivery.sync.close()
    Delivery(tmp_path, outbox.claims, FolderStore(store))
    assert (tmp_path / "uplink" / "names.log").read_bytes() == b""


def test_a_full_disk_does_not_keep_the_outbox_from_being_emptied(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path / "outbox", 2)
    faults: list[str] = []
    delivery = Delivery(
        tmp_path, outbox.claims, FolderStore(store), report_fault=lambda code, text: faults.append(f"{code} {text}")
    )

    def full(name: Name) -> Name:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(delivery.sync._names, "keep", full)
    assert delivery.steps(2) == [2, 2]
    assert "uplink-disk the name of an object could not be kept: No space left on device" in faults


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"consent": False}, "consent"),
        ({"paused": ("trend",)}, "paused"),
        ({"link": NO_LINK}, "no-link"),
        ({"link": MOBILE, "over_metered": ("critical",)}, "metered"),
    ],
)
def test_what_is_held_back_stays_and_says_why(tmp_path: Path, store: Path, changes: dict[str, Any], code: str) -> None:
    outbox = Outbox(tmp_path / "outbox", 1)
    conditions = msgspec.structs.replace(LET_OUT, **changes)
    delivery = Delivery(tmp_path, outbox.claims, FolderStore(store), conditions=conditions)
    assert delivery.steps(3) == [0, 0, 0]
    assert delivery.progress.holds["trend"].code == code
    assert segments_in(outbox.trend.folder, Place.LEAVING) == []
    delivery.sync.conditions = LET_OUT
    assert delivery.steps(1) == [2]
    assert "trend" not in delivery.progress.holds


def test_a_budget_holds_its_class_back_until_enough_has_come_in(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 5)
    outbox.seal(RecordClass.CRITICAL)
    delivery = Delivery(
        tmp_path,
        outbox.claims,
        FolderStore(store),
        conditions=ABROAD,
        budgets={"mobile": {"trend": 300}},
    )
    assert delivery.steps(4) == [2, 2, 2, 0]  # the critical one, and two of about 110 bytes
    assert delivery.progress.holds["trend"].code == "budget"
    assert delivery.progress.left_bytes["trend"] < 150
    spent = delivery.progress.sent_bytes
    delivery.steps(100)
    assert delivery.progress.sent_bytes == spent
    assert segments_in(outbox.trend.folder, Place.LEAVING) == []  # it may be evicted meanwhile
    delivery.clock.advance_s(86_400)
    assert delivery.steps(3) == [2, 2, 0]


def test_a_class_without_a_budget_on_this_link_is_not_held_back(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 3)
    delivery = Delivery(tmp_path, outbox.claims, FolderStore(store), budgets={"mobile": {"trend": 0}})
    assert delivery.steps(3) == [2, 2, 2]
    assert delivery.progress.left_bytes == {}


def test_failed_tries_cost_bytes_too(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 1)
    unreliable = UnreliableStore(store, refusals=100)
    delivery = Delivery(tmp_path, outbox.claims, unreliable, conditions=ABROAD, budgets={"mobile": {"trend": 1000}})
    for _ in range(20):
        delivery.steps(1)
        delivery.sync._backoff.reset()
    assert len(unreliable.items) < 20
    assert delivery.progress.sent_bytes <= 1000
    assert delivery.progress.holds["trend"].code == "budget"
    assert len(segments_in(outbox.trend.folder, Place.LEAVING)) == 1  # the store may have it


def test_an_unknown_form_is_refused(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 1)
    delivery = Delivery(tmp_path, outbox.claims, FolderStore(store), settings=SyncSettings(form="jsonp"))
    assert delivery.steps(1) == [0]
    assert [name.refused for name in delivery.progress.refused] == ['"jsonp" is no form of objects']
    assert segments_in(outbox.trend.folder, Place.LEAVING) == []


def test_waits_are_measured_on_the_monotonic_clock(tmp_path: Path, store: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", 1)
    delivery = Delivery(tmp_path, outbox.claims, UnreliableStore(store, refusals=1), MostPatient())
    delivery.steps(1)
    for jump_s in (-20 * 365 * 86_400, 22 * 365 * 86_400):
        delivery.clock.jump_wall_s(jump_s)
        assert delivery.steps(1) == [0]
    delivery.clock.advance_ns(NS_PER_S)
    assert delivery.steps(1) == [2]
