"""Claims: two processes share a folder by renames, and a kill of either at any point neither loses nor doubles."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cardan.runtime.errors import DeviceError, NodeError
from cardan.runtime.outbox.claims import Claim, Claims
from cardan.runtime.outbox.folder import Place, class_dir, segments_in
from cardan.runtime.outbox.ledger import Ledger, read_ledger_or_none
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass

Life = Callable[[], None]
LIMITS = QueueLimits(max_bytes=68 << 10, segment_bytes=4096)


def opened_queue(outbox: Path, kind: RecordClass = RecordClass.TREND) -> Queue:
    queue = Queue(class_dir(outbox, kind), vehicle="v", boot="b", stream="s", limits=LIMITS)
    queue.open()
    return queue


def seal(queue: Queue, *numbers: int, fill: int = 0) -> None:
    for number in numbers:
        payload = b'{"number":%d,"fill":"%s"}' % (number, b"x" * fill)
        queue.append(payload, kind=RecordClass.TREND, mono_ns=0, wall_ns=0)
    queue.commit()
    queue.seal()


def opened_claims(outbox: Path) -> Claims:
    claims = Claims(outbox)
    claims.open()
    return claims


def claimed(claims: Claims, *classes: RecordClass) -> Claim:
    claim = claims.oldest_or_none(classes or tuple(RecordClass))
    assert claim is not None
    return claim


def account(queue: Queue) -> str:
    return str(read_ledger_or_none(queue.folder))


def test_segments_are_claimed_in_order_and_leave_when_they_are_delivered(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    seal(queue, 1, 2)
    seal(queue, 3)
    first, second = claimed(claims), claimed(claims)
    assert [record.payload for record in first.records()] == [b'{"number":1,"fill":""}', b'{"number":2,"fill":""}']
    assert (first.name, second.name) == (
        "trend/00000000000000000001-00000000000000000002.sealed",
        "trend/00000000000000000003-00000000000000000003.sealed",
    )
    assert (first.header.vehicle, first.kind, len(first)) == ("v", RecordClass.TREND, 2)
    assert claims.oldest_or_none() is None
    first.delivered()
    assert account(queue) == "produced 3 = delivered 2 + pending 1 + evicted 0"
    assert queue.collect() == 2
    assert account(queue) == str(queue.ledger()) == "produced 3 = delivered 2 + pending 1 + evicted 0"
    assert segments_in(queue.folder, Place.LEFT) == []


def test_a_released_claim_is_offered_first(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    for number in (1, 2, 3):
        seal(queue, number)
    claimed(claims).release()
    assert claimed(claims).first == 1


def test_the_first_class_that_has_something_is_served(tmp_path: Path) -> None:
    claims = opened_claims(tmp_path)
    for kind in RecordClass:
        seal(opened_queue(tmp_path, kind), int(kind))
    assert claimed(claims, RecordClass.EVENT, RecordClass.CRITICAL).kind is RecordClass.EVENT
    assert claimed(claims).kind is RecordClass.CRITICAL
    assert claimed(claims).kind is RecordClass.TREND


def test_what_is_not_wanted_now_is_passed_over(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    seal(queue, 1)
    seal(queue, 2)
    refused = claimed(claims)
    refused.release()
    claim = claims.oldest_or_none(besides={refused.name})
    assert claim is not None and claim.first == 2
    assert claims.oldest_or_none(besides={refused.name}) is None
    assert claimed(claims).first == 1


def test_an_uplink_that_starts_before_the_outbox_finds_nothing(tmp_path: Path) -> None:
    claims = opened_claims(tmp_path / "not" / "there")
    assert claims.oldest_or_none() is None
    seal(opened_queue(tmp_path / "not" / "there"), 1)
    assert claimed(claims).first == 1


def test_one_process_claims_at_a_time(tmp_path: Path) -> None:
    claims = opened_claims(tmp_path)
    with pytest.raises(DeviceError, match="belongs to another process"):
        opened_claims(tmp_path)
    claims.close()
    opened_claims(tmp_path)


def test_a_claim_is_answered_once(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    seal(queue, 1)
    claim = claimed(claims)
    claim.delivered()
    with pytest.raises(NodeError, match="is not ours"):
        claim.delivered()
    claims.close()
    with pytest.raises(NodeError, match="before they were opened"):
        claims.oldest_or_none()


def test_a_full_queue_does_not_evict_what_is_leaving(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    seal(queue, 1, fill=3000)
    claim = claimed(claims)
    for number in range(2, 20):
        seal(queue, number, fill=3000)
    assert queue.ledger().evicted > 5
    claim.delivered()
    assert queue.collect() == 1
    assert queue.ledger().exact and queue.bytes <= LIMITS.max_bytes


def test_a_queue_full_of_claims_refuses_and_one_without_an_uplink_goes_on(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    with pytest.raises(OSError, match="on their way"):
        for number in range(20):
            seal(queue, number, fill=3000)
            claimed(claims)
    refused = queue.discard()
    assert refused == 1 and queue.ledger().evicted == 0
    claims.close()
    seal(queue, 99, fill=3000)
    assert queue.ledger().evicted > 0 and queue.ledger().exact


def test_damage_goes_back_to_the_outbox_and_what_is_whole_is_offered_again(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    seal(queue, 1, 2, 3)
    seal(queue, 4)
    path = queue.folder / queue.waiting[0].name
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":7'))
    assert claimed(claims).first == 4
    assert len(segments_in(queue.folder, Place.SUSPECT)) == 1
    queue.collect()
    assert account(queue) == "produced 4 = delivered 0 + pending 3 + evicted 0 + damaged 1"
    assert [claimed(claims).first, claimed(claims).first] == [1, 3]


def test_a_segment_that_is_whole_after_all_is_offered_again(tmp_path: Path) -> None:
    queue, claims = opened_queue(tmp_path), opened_claims(tmp_path)
    seal(queue, 1)
    os.rename(queue.folder / queue.waiting[0].name, queue.folder / "suspect" / queue.waiting[0].name)
    assert claims.oldest_or_none() is None
    queue.collect()
    assert claimed(claims).first == 1


def life_of_the_uplink(claims: Claims, delivered: list[int]) -> None:
    """Claims, releases, damage and deliveries. The store remembers what it was given before the claim is answered."""
    claimed(claims).release()
    while (claim := claims.oldest_or_none()) is not None:
        if claim.first not in delivered:
            delivered.append(claim.first)
        claim.delivered()


def life_of_the_outbox(queue: Queue) -> None:
    """Evictions, damage, collections."""
    queue.collect()
    for number in range(6):
        seal(queue, number, fill=3000)
        queue.collect()


def prepared(outbox: Path) -> tuple[Queue, Claims]:
    """Ten segments; one is damaged and known to be, one is delivered, one is claimed."""
    queue, claims = opened_queue(outbox), opened_claims(outbox)
    for number in range(10):
        seal(queue, number, number, number, fill=800)
    path = queue.folder / queue.waiting[0].name
    path.write_bytes(path.read_bytes().replace(b'"number":0', b'"number":?', 1))
    claimed(claims).delivered()
    claimed(claims)
    return queue, claims


def exact(queue_folder: Path) -> Ledger:
    ledger = read_ledger_or_none(queue_folder)
    assert ledger is not None and ledger.exact and ledger.unknown == 0, ledger
    return ledger


@pytest.mark.slow
def test_an_uplink_killed_at_any_point_leaves_an_exact_account_and_delivers_each_once(
    memory_path: Path, calls_of: Callable[[Life], int], killed_at: Callable[[int, Life], None]
) -> None:
    _, claims = prepared(memory_path / "whole")
    calls = calls_of(lambda: life_of_the_uplink(claims, []))
    assert calls > 12
    for count in range(calls):
        outbox, delivered = memory_path / str(count), [4]
        queue, claims = prepared(outbox)
        killed_at(count, lambda claims=claims, delivered=delivered: life_of_the_uplink(claims, delivered))  # type: ignore[misc]
        exact(queue.folder)
        queue.collect()
        exact(queue.folder)
        claims.close()
        again = opened_claims(outbox)
        life_of_the_uplink(again, delivered)
        queue.collect()
        assert len(delivered) == len(set(delivered))
        ledger = exact(queue.folder)
        again.close()
        queue.close()
        assert (ledger.produced, ledger.pending, ledger.damaged) == (30, 0, 1), count


@pytest.mark.slow
def test_an_outbox_killed_at_any_point_leaves_an_exact_account_and_the_uplink_undisturbed(
    memory_path: Path, calls_of: Callable[[Life], int], killed_at: Callable[[int, Life], None]
) -> None:
    queue, _ = prepared(memory_path / "whole")
    calls = calls_of(lambda: life_of_the_outbox(queue))
    assert calls > 100
    for count in range(calls):
        outbox = memory_path / str(count)
        queue, claims = prepared(outbox)
        killed_at(count, lambda queue=queue: life_of_the_outbox(queue))  # type: ignore[misc]
        release(queue)
        exact(queue.folder)
        claim = claims.oldest_or_none()  # the uplink goes on while the outbox is away
        if claim is not None:
            claim.delivered()
        between = exact(queue.folder)
        queue = opened_queue(outbox)
        after = exact(queue.folder)
        assert after.produced >= between.produced and after.evicted >= between.evicted, count
        assert after.delivered == between.delivered and str(after) == str(exact(queue.folder)), count
        claims.close()
        again = opened_claims(outbox)
        life_of_the_uplink(again, [])
        again.close()
        queue.collect()
        ledger = exact(queue.folder)
        assert ledger == queue.ledger() and ledger.pending == 0 and ledger.damaged <= 1, count
        queue.close()


def release(queue: Queue) -> None:
    """What the kernel does for a dead process, with what was open before `killed_at`."""
    if queue._lock is not None:
        queue._lock.release()
    if queue._segment is not None and queue._segment.descriptor >= 0:
        with suppress(OSError):
            os.close(queue._segment.descriptor)
