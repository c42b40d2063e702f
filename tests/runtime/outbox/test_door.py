"""The door: a put returns when the record is on the disk, and is kept once, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.door_messages import MOST_RECORD_BYTES, PutRecord, address
from cardan.runtime.outbox.ledger import read_ledgers
from cardan.runtime.outbox.limits import SpoolLimits
from cardan.runtime.outbox.producer import NotKept, Producer, Unanswered
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import Spool, Stamp
from cardan.runtime.outbox.testing import Served

CRITICAL, EVENT, TREND, BULK = RecordClass


def served(folder: Path) -> Served:
    return Served(Spool(folder, vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0)))


@pytest.fixture
def outbox(memory_path: Path) -> Iterator[Served]:
    outbox = served(memory_path / "outbox")
    yield outbox
    outbox.close()


def kept(folder: Path, kind: RecordClass) -> list[bytes]:
    claims = Claims(folder)
    claims.open()
    found = []
    while (claim := claims.oldest_or_none([kind])) is not None:
        found += [record.payload for record in claim.records()]
    claims.close()
    return found


def records(*payloads: bytes) -> list[PutRecord]:
    return [PutRecord(1, 2, payload) for payload in payloads]


def test_a_put_returns_when_the_record_is_on_the_disk(outbox: Served) -> None:
    with Producer(outbox.folder, "p") as producer:
        for kind in RecordClass:
            producer.put(kind, b"{%d}" % kind)
            assert read_ledgers(outbox.folder)[kind].produced == 1


def test_many_records_come_in_order_and_once(outbox: Served) -> None:
    payloads = [b'{"n":%d,"fill":"%s"}' % (number, b"x" * (number % 700)) for number in range(5000)]
    with Producer(outbox.folder, "p", timeout_s=20.0) as producer:
        producer.put_many(TREND, records(*payloads))
        assert producer.unanswered == 0
    outbox.spool.queue(TREND).seal()
    assert kept(outbox.folder, TREND) == payloads


def test_several_producers_do_not_disturb_each_other(outbox: Served) -> None:
    with Producer(outbox.folder, "one") as one, Producer(outbox.spool.folder, "two") as two:
        for number in range(5):
            one.put(CRITICAL, b'{"one":%d}' % number)
            two.put(CRITICAL, b'{"two":%d}' % number)
    outbox.spool.queue(CRITICAL).seal()
    assert len(set(kept(outbox.folder, CRITICAL))) == 10


def test_a_name_is_used_by_one_process_at_a_time(outbox: Served) -> None:
    with Producer(outbox.folder, "p") as first, Producer(outbox.spool.folder, "p", timeout_s=0.1) as second:
        first.put(EVENT, b"{}")
        with pytest.raises(Unanswered):
            second.put(EVENT, b"{}")


def test_a_record_that_is_too_long_is_refused_and_the_next_is_not(outbox: Served) -> None:
    with Producer(outbox.folder, "p") as producer:
        with pytest.raises(NotKept, match="longer than"):
            producer.put(BULK, bytes(MOST_RECORD_BYTES + 1))
        producer.put(BULK, bytes(MOST_RECORD_BYTES))
    assert read_ledgers(outbox.folder)[BULK].produced == 1


def test_without_an_outbox_a_put_ends_in_time_and_its_record_goes_when_there_is_one(memory_path: Path) -> None:
    producer = Producer(memory_path / "outbox", "p", timeout_s=0.3)
    with pytest.raises(Unanswered, match="is not there; 1 records wait"):
        producer.put(EVENT, b"{1}")
    outbox = served(memory_path / "outbox")
    producer.put(EVENT, b"{2}")
    producer.close()
    outbox.close()
    assert kept(outbox.folder, EVENT) == [b"{1}", b"{2}"]


def test_what_waits_for_an_outbox_is_bounded(memory_path: Path) -> None:
    producer = Producer(memory_path / "outbox", "p", timeout_s=0.001)
    with pytest.raises(NotKept, match="records wait for the outbox"):
        for _ in range(200):
            with contextlib.suppress(Unanswered):
                producer.put(EVENT, bytes(MOST_RECORD_BYTES))
    assert 40 <= producer.unanswered <= 50


def test_what_was_sent_and_not_answered_goes_again_under_its_number_and_is_kept_once(memory_path: Path) -> None:
    outbox = served(memory_path / "outbox")
    outbox.spool.step = lambda now: None  # type: ignore[method-assign]  # commits nothing
    producer = Producer(outbox.folder, "p", timeout_s=0.05)
    with pytest.raises(Unanswered, match="1 records wait"):
        producer.put(EVENT, b"{1}")
    del outbox.spool.step
    producer._timeout_ns = 2 * 10**9
    producer.flush()
    producer.put(EVENT, b"{2}")
    producer.close()
    outbox.close()
    assert kept(outbox.folder, EVENT) == [b"{1}", b"{2}"]


def test_a_connection_that_breaks_before_the_answer_doubles_nothing(memory_path: Path) -> None:
    outbox = served(memory_path / "outbox")
    producer = Producer(outbox.folder, "p")
    producer.put(EVENT, b"{0}")
    for number in range(1, 20):
        lane = producer._lanes[EVENT]
        lane.add(PutRecord(0, 0, b"{%d}" % number))
        producer._send_pending()
        producer._lost()
        producer.flush()
    producer.close()
    outbox.close()
    assert kept(outbox.folder, EVENT) == [b"{%d}" % number for number in range(20)]


def test_an_outbox_that_does_not_welcome_in_time_leaves_no_doubt_about_the_numbers(outbox: Served) -> None:
    with Producer(outbox.folder, "one") as producer:
        producer.put_many(EVENT, [PutRecord(0, 0, b"{%d}" % number) for number in range(5)])
    outbox.door.serve = lambda now: False  # type: ignore[method-assign]  # has too much else to do
    producer = Producer(outbox.folder, "one", timeout_s=0.05)
    with pytest.raises(Unanswered):
        producer.highest(EVENT)
    del outbox.door.serve
    producer._timeout_ns = 2 * 10**9
    assert producer.highest(EVENT) == 5
    producer.put(EVENT, b"{5}")
    producer.close()
    outbox.close()
    assert kept(outbox.folder, EVENT) == [b"{%d}" % number for number in range(6)]


def test_a_disk_that_refuses_is_said_and_the_next_put_is_kept_under_the_same_number(memory_path: Path) -> None:
    outbox = served(memory_path / "outbox")

    def fails_once(now: Stamp) -> None:
        del outbox.spool.step
        outbox.spool._lanes[TREND].failed(OSError(5, "Input/output error"), now.mono_ns)
        outbox.spool.step(now)

    with Producer(outbox.folder, "p") as producer:
        producer.put(TREND, b"{1}")
        outbox.spool.step = fails_once  # type: ignore[method-assign]
        with pytest.raises(NotKept, match="refuses trend records"):
            for _ in range(1000):
                producer.put(TREND, b"{2}")
        outbox.spool._lanes[TREND]._closed_until_ns = 0
        before = read_ledgers(outbox.folder)[TREND].produced
        producer.put(TREND, b"{3}")
        assert read_ledgers(outbox.folder)[TREND].produced == before + 1
    outbox.close()


@pytest.mark.parametrize("nonsense", [b"\xc1", b"\x93abc", bytes(1000), b"{}"])
def test_nonsense_ends_the_connection_and_nothing_else(outbox: Served, nonsense: bytes) -> None:
    folder = os.open(outbox.folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.connect(address(folder))
        stranger.send(nonsense)
        stranger.settimeout(5.0)
        assert stranger.recv(100) == b""
    os.close(folder)
    with Producer(outbox.folder, "p") as producer:
        producer.put(EVENT, b"{}")
    assert outbox.door.cut_off == 1


OUTBOX_PROCESS = """
import sys
from pathlib import Path
from cardan.runtime.outbox.limits import SpoolLimits
from cardan.runtime.outbox.spool import Spool
from cardan.runtime.outbox.testing import serve_for_ever
serve_for_ever(Spool(Path(sys.argv[1]), vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0)))
"""

PRODUCER_PROCESS = """
import sys
from pathlib import Path
from cardan.runtime.outbox.producer import Producer, Unanswered
from cardan.runtime.outbox.segment import RecordClass
producer = Producer(Path(sys.argv[1]), "journal", timeout_s=10.0)
journal = open(sys.argv[2], "a+")
number = producer.highest(RecordClass.CRITICAL)
while True:
    number += 1
    producer.put(RecordClass.CRITICAL, b'{"n":%d}' % number)
    journal.write("%d\\n" % number)
    journal.flush()
"""


@pytest.mark.slow
def test_producers_and_outboxes_that_are_killed_lose_and_double_nothing(memory_path: Path) -> None:
    folder, journal = memory_path / "outbox", memory_path / "journal"

    def start_outbox() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", OUTBOX_PROCESS, str(folder)])

    def start_producer() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", PRODUCER_PROCESS, str(folder), str(journal)])

    outbox, producer = start_outbox(), start_producer()
    for turn in range(10):
        wait_for_lines(journal, 20 * (turn + 1))
        victim = outbox if turn % 2 else producer
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        if victim is outbox:
            outbox = start_outbox()
        else:
            producer = start_producer()
    for process in (producer, outbox):
        process.send_signal(signal.SIGKILL)
        process.wait()
    promised = {b'{"n":%s}' % line for line in journal.read_bytes().split()}
    served(folder).close()
    found = Counter(kept(folder, CRITICAL))
    assert promised - set(found) == set() and len(promised) >= 200
    assert max(found.values()) == 1
    assert read_ledgers(folder)[CRITICAL].exact


def wait_for_lines(path: Path, count: int) -> None:
    clock = MonotonicClock()
    deadline_ns = clock.now_ns() + 20 * 10**9
    while not path.exists() or len(path.read_bytes().splitlines()) < count:
        assert clock.now_ns() < deadline_ns
        clock.sleep_until_ns(clock.now_ns() + 10**6)
