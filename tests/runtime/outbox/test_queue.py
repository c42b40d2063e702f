"""The queue: what was acknowledged is there after any kill, and every record is accounted for."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.outbox.claims import Claim, Claims
from cardan.runtime.outbox.folder import class_dir, listing, open_path, sealed_path
from cardan.runtime.outbox.ledger import read_ledger_or_none
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.state import STATE_NAME

SMALL = QueueLimits(max_bytes=1 << 20, segment_bytes=4096)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """While this lasts, the kernel refuses to let any file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The queue's folder in an outbox."""
    return class_dir(tmp_path, RecordClass.TREND)


def opened(folder: Path, limits: QueueLimits = SMALL) -> Queue:
    queue = Queue(folder, vehicle="v", boot="b", stream="telemetry", limits=limits)
    queue.open()
    return queue


@contextmanager
def claims_on(queue: Queue) -> Iterator[Claims]:
    claims = Claims(queue.folder.parent)
    claims.open()
    yield claims
    claims.close()


def claimed(claims: Claims) -> Claim:
    claim = claims.oldest_or_none()
    assert claim is not None
    return claim


def deliver_one(queue: Queue) -> None:
    with claims_on(queue) as claims:
        claimed(claims).delivered()


def add(queue: Queue, *payloads: bytes) -> int:
    for payload in payloads:
        queue.append(payload, kind=RecordClass.TREND, mono_ns=1, wall_ns=2)
    return queue.commit()


def read_one(queue: Queue) -> None:
    """The uplink looks at the oldest segment, and the queue at what it says of it."""
    with claims_on(queue) as claims:
        claim = claims.oldest_or_none()
        if claim is not None:
            claim.release()
    queue.collect()


def waiting(queue: Queue) -> list[bytes]:
    """Payloads of all sealed records, in order; what was damaged is examined on the way."""
    found: list[bytes] = []
    with claims_on(queue) as claims:
        while (claim := next_or_none(queue, claims)) is not None:
            found += [record.payload for record in claim.records()]
    with claims_on(queue):
        return found  # claims that nobody answered are waiting again


def next_or_none(queue: Queue, claims: Claims) -> Claim | None:
    """The next claim; damage that was found by the last try is examined, and then tried again."""
    claim = claims.oldest_or_none()
    queue.collect()
    return claim or claims.oldest_or_none()


def kill(queue: Queue) -> None:
    """What the kernel does for a dead process: its lock and its files are closed, nothing else happens."""
    if queue._lock is not None:
        queue._lock.release()
    if queue._segment is not None:
        os.close(queue._segment.descriptor)


def test_a_commit_acknowledges_and_a_seal_offers(folder: Path) -> None:
    queue = opened(folder)
    assert add(queue, b"{1}", b"{2}") == 2
    assert queue.waiting == []
    queue.seal()
    assert waiting(queue) == [b"{1}", b"{2}"]
    assert str(queue.ledger()) == "produced 2 = delivered 0 + pending 2 + evicted 0"


def test_what_was_not_committed_is_not_there(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{1}")
    queue.append(b"{2}", kind=RecordClass.TREND, mono_ns=0, wall_ns=0)
    assert queue.ledger().produced == 1
    assert queue.discard() == 1
    queue.close()
    assert opened(folder).ledger().produced == 1


def test_numbers_go_on_after_everything_was_delivered_and_the_process_died(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{1}", b"{2}")
    queue.seal()
    deliver_one(queue)
    queue.collect()
    kill(queue)
    queue = opened(folder)
    assert queue.ledger().delivered == 2
    assert add(queue, b"{3}") == 3


def test_a_full_segment_is_sealed_by_itself(folder: Path) -> None:
    queue = opened(folder)
    add(queue, *[bytes(1000)] * 10)
    assert [(file.first, file.last) for file in queue.waiting] == [(1, 4), (5, 8)]


def test_a_killed_process_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{1}", b"{2}")
    kill(queue)
    queue = opened(folder)
    assert waiting(queue) == [b"{1}", b"{2}"]
    assert queue.ledger().exact


def test_a_torn_end_is_cut_off_and_its_numbers_are_given_again(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{1}", b"{2}")
    kill(queue)
    with open_path(folder, 1).open("ab") as file:
        file.write(os.urandom(37))
    queue = opened(folder)
    assert waiting(queue) == [b"{1}", b"{2}"]
    assert add(queue, b"{3}") == 3


def test_a_damaged_record_in_the_middle_is_set_aside_and_the_rest_goes_on(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{one}", b"{two}", b"{three}")
    kill(queue)
    path = open_path(folder, 1)
    path.write_bytes(path.read_bytes().replace(b"{two}", b"{TWO}"))
    queue = opened(folder)
    assert waiting(queue) == [b"{one}", b"{three}"]
    assert queue.ledger().damaged == 1 and queue.ledger().exact
    assert len(listing(folder).damaged) == 1


def test_damage_that_shows_only_when_a_sealed_segment_is_read_is_set_aside_then(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{one}", b"{two}", b"{three}")
    queue.seal()
    add(queue, b"{four}")
    queue.seal()
    path = sealed_path(folder, 1, 3)
    path.write_bytes(path.read_bytes().replace(b"{one}", b"{ONE}"))
    read_one(queue)
    assert waiting(queue) == [b"{two}", b"{three}", b"{four}"]
    assert queue.ledger().damaged == 1 and queue.ledger().exact
    queue.close()
    assert opened(folder).ledger() == queue.ledger()


def truncate(one: Path, _: Path) -> None:
    os.truncate(one, one.stat().st_size * 2 // 3)


def zero_a_page(one: Path, _: Path) -> None:
    data = bytearray(one.read_bytes())
    data[4096:8192] = bytes(4096)
    one.write_bytes(data)


def swap(one: Path, other: Path) -> None:
    os.rename(one, one.with_suffix(".tmp"))
    os.rename(other, one)
    os.rename(one.with_suffix(".tmp"), other)


def foreign(one: Path, _: Path) -> None:
    one.write_bytes(os.urandom(10_000))


@pytest.mark.parametrize("damage", [truncate, zero_a_page, swap, foreign])
def test_whatever_becomes_of_a_file_the_rest_is_offered_and_all_is_counted(
    folder: Path, damage: Callable[[Path, Path], None]
) -> None:
    queue = opened(folder, QueueLimits(max_bytes=1 << 20, segment_bytes=16 << 10))
    parts = [[b"{%d,%d}" % (part, number) + b"x" * 1000 for number in range(10)] for part in range(3)]
    for part in parts:
        add(queue, *part)
        queue.seal()
    damage(sealed_path(folder, 1, 10), sealed_path(folder, 11, 20))
    found = waiting(queue)
    ledger = queue.ledger()
    assert ledger.exact and ledger.damaged > 0 and ledger.pending + ledger.damaged == 30
    assert len(found) == len(set(found)) == ledger.pending
    assert set(found) <= {payload for part in parts for payload in part} and set(parts[2]) <= set(found)
    assert listing(folder).damaged


def test_a_segment_without_a_readable_header_is_counted_and_kept(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{one}", b"{two}")
    queue.seal()
    sealed_path(folder, 1, 2).write_bytes(b"\xff" * 500)
    read_one(queue)
    assert queue.waiting == []
    assert queue.ledger().damaged == 2 and queue.ledger().exact
    kill(queue)
    assert add(opened(folder), b"{three}") == 3


def test_a_segment_that_somebody_deleted_is_counted_as_unknown(folder: Path) -> None:
    queue = opened(folder)
    for payload in (b"{1}", b"{2}", b"{3}"):
        add(queue, payload)
        queue.seal()
    sealed_path(folder, 1, 1).unlink()
    with claims_on(queue) as claims:
        claimed(claims).release()
    kill(queue)
    sealed_path(folder, 2, 2).unlink()
    queue = opened(folder)
    assert str(queue.ledger()) == "produced 3 = delivered 0 + pending 1 + evicted 0 + unknown 2"


def test_a_lost_state_file_loses_the_account_and_no_record(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{1}")
    queue.seal()
    deliver_one(queue)
    queue.collect()
    add(queue, b"{2}")
    log = queue._header.log
    kill(queue)
    (folder / STATE_NAME).write_bytes(b"\0" * 100)
    queue = opened(folder)
    assert waiting(queue) == [b"{2}"]
    assert queue._header.log == log
    assert str(queue.ledger()) == "produced 2 = delivered 0 + pending 1 + evicted 0 + unknown 1"
    assert (folder / "state.damaged").exists()


def test_a_full_queue_gives_up_the_oldest_and_knows_what_it_has_to_tell(folder: Path) -> None:
    queue = opened(folder, QueueLimits(max_bytes=64 << 10, segment_bytes=4096))
    for number in range(200):
        add(queue, b'{"number":%d,"fill":"%s"}' % (number, b"x" * 500))
        assert queue.bytes <= 64 << 10
    queue.seal()
    ledger = queue.ledger()
    assert ledger.evicted > 100 and ledger.exact
    numbers = [msgspec.json.decode(payload)["number"] for payload in waiting(queue)]
    assert numbers == list(range(numbers[0], 200))
    (told,) = queue.begin_telling()
    assert (told.first, told.last, told.records, told.reason) == (1, ledger.evicted, ledger.evicted, "full")
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) <= 64 << 10


def test_an_eviction_is_told_until_it_is_known_to_be_kept_and_after_a_kill_too(folder: Path) -> None:
    limits = QueueLimits(max_bytes=64 << 10, segment_bytes=4096)
    queue = opened(folder, limits)
    while not queue.has_untold:
        add(queue, b"{%s}" % bytes(1000))
    kill(queue)
    queue = opened(folder, limits)
    first = queue.begin_telling()
    queue.told(kept=False)
    assert queue.begin_telling() == first
    evicted = queue.ledger().evicted
    while queue.ledger().evicted == evicted:
        add(queue, b"{%s}" % bytes(1000))
    queue.told(kept=True)
    (later,) = queue.begin_telling()
    assert later.first == first[-1].last + 1
    assert later.records == queue.ledger().evicted - evicted


def test_files_that_were_set_aside_count_and_go_last(folder: Path) -> None:
    limits = QueueLimits(max_bytes=64 << 10, segment_bytes=4096)
    queue = opened(folder, limits)
    for number in range(40):
        add(queue, b"{%d%s}" % (number, bytes(3900)))
        if queue.waiting:
            file = queue.waiting[-1]
            path = sealed_path(folder, file.first, file.last)
            path.write_bytes(bytes([1]) * file.size)
            with claims_on(queue) as claims:
                while claims.oldest_or_none() is not None:
                    continue
            queue.collect()
    assert queue.bytes <= 64 << 10
    assert queue.ledger().damaged > 20 and queue.ledger().exact


def test_a_disk_that_refuses_acknowledges_nothing_and_the_queue_goes_on_afterwards(folder: Path) -> None:
    queue = opened(folder, QueueLimits(max_bytes=8 << 20, segment_bytes=1 << 20))
    add(queue, b"{before}")
    with largest_file(open_path(folder, 1).stat().st_size + 5), pytest.raises(OSError):
        add(queue, b"{refused}")
    assert queue.ledger().produced == 1
    assert queue.discard() == 1
    assert add(queue, b"{after}") == 2
    kill(queue)
    queue = opened(folder)
    assert waiting(queue) == [b"{before}", b"{after}"]
    assert queue.ledger().exact


def test_records_that_the_disk_refused_do_not_come_back_beside_those_that_took_their_numbers(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{1}", b"{2}", b"{refused}")
    kill(queue)
    other = folder / "other"
    stranger = Queue(other, vehicle="v", boot="b", stream="telemetry", limits=SMALL)
    stranger.open()
    stranger._header, stranger._header_bytes, stranger._batch = queue._header, queue._header_bytes, queue._batch
    add(stranger, b"{1}", b"{2}")
    stranger.seal()
    add(stranger, b"{taken}")
    os.replace(open_path(other, 3), open_path(folder, 3))
    queue = opened(folder)
    assert waiting(queue) == [b"{1}", b"{2}", b"{taken}"]
    assert queue.ledger().produced == 3 and queue.ledger().exact


def test_two_processes_do_not_share_a_queue(folder: Path) -> None:
    queue = opened(folder)
    with pytest.raises(DeviceError, match="belongs to another process"):
        opened(folder)
    queue.close()
    opened(folder)


def test_limits_that_cannot_work_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="four segments"):
        opened(folder, QueueLimits(max_bytes=4096, segment_bytes=4096))


def test_a_record_longer_than_a_segment_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="longer than a segment"):
        add(opened(folder), bytes(5000))


def test_the_account_is_read_from_the_folder_while_the_queue_is_open(folder: Path) -> None:
    assert read_ledger_or_none(folder) is None
    queue = opened(folder)
    add(queue, b"{1}", b"{2}")
    queue.seal()
    add(queue, b"{3}")
    assert read_ledger_or_none(folder) == queue.ledger()
    deliver_one(queue)
    assert str(read_ledger_or_none(folder)) == "produced 3 = delivered 2 + pending 1 + evicted 0"
    assert str(queue.ledger()) == "produced 3 = delivered 0 + pending 3 + evicted 0"
    queue.collect()
    assert read_ledger_or_none(folder) == queue.ledger()
    assert queue.ledger().delivered == 2


def test_start_up_reads_names_not_contents(folder: Path) -> None:
    queue = opened(folder)
    add(queue, b"{1}")
    kill(queue)
    for first in range(2, 302):
        sealed_path(folder, first, first).touch()
    queue = opened(folder)
    assert queue.ledger().pending == 301
