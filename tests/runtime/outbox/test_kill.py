"""SIGKILL, for real and at every system call: nothing acknowledged is lost, nothing arrives twice."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir
from cardan.runtime.outbox.ledger import read_ledger_or_none
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.sync import LET_OUT, Sync, open_sync

Life = Callable[[], None]
KILLS = 40

PROCESS = """
import os, random, signal, sys, time
from pathlib import Path
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.clock import FakeClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.sync import LET_OUT, open_sync

folder, kills = Path(sys.argv[1]), int(sys.argv[2])

def produce(turn, acknowledged):
    random.seed(turn)
    queue = Queue(folder / "outbox/trend", vehicle="v", boot="b", stream="s", limits=QueueLimits(segment_bytes=2048))
    queue.open()
    for number in range(100_000):
        payload = b'{"turn":%d,"number":%d}' % (turn, number)
        queue.append(payload, kind=RecordClass.TREND, mono_ns=1, wall_ns=10**18)
        if number % 7 == 6:
            queue.commit()
            os.write(acknowledged, b"%d %d\\n" % (turn, number))
        if random.random() < 0.05:
            queue.seal()
        if random.random() < 0.1:
            queue.collect()

def deliver(turn, acknowledged):
    claims = Claims(folder / "outbox")
    claims.open()
    sync = open_sync(claims, FolderStore(folder / "store"), folder / "uplink", clock=FakeClock(),
                     random=random.Random(turn), conditions=LET_OUT)
    while True:
        sync.step()

acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
chance = random.Random(7)
children = {}

def start(work, turn):
    child = os.fork()
    if child == 0:
        work(turn, acknowledged)
    children[work] = child

start(produce, 0)
start(deliver, 0)
for turn in range(1, kills):
    time.sleep(chance.uniform(0.001, 0.04))
    work = chance.choice([produce, deliver])
    os.kill(children[work], signal.SIGKILL)
    os.waitpid(children[work], 0)
    start(work, turn)
for child in children.values():
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def sync_to_store(folder: Path, claims: Claims) -> Sync:
    return open_sync(
        claims,
        FolderStore(folder / "store"),
        folder / "uplink",
        clock=FakeClock(),
        random=Random(1),
        conditions=LET_OUT,
    )


def finish(folder: Path) -> Queue:
    """A process that is not killed: delivers everything that waits."""
    queue = Queue(queue_dir(folder), vehicle="v", boot="b", stream="s", limits=QueueLimits(segment_bytes=2048))
    queue.open()
    claims = Claims(folder / "outbox")
    claims.open()
    sync = sync_to_store(folder, claims)
    while queue.waiting:
        sync.step()
        queue.collect()
    sync.close()
    claims.close()
    return queue


def queue_dir(folder: Path) -> Path:
    return class_dir(folder / "outbox", RecordClass.TREND)


def at_store(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted((folder / "store").rglob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


@pytest.mark.slow
def test_dozens_of_kills_lose_nothing_and_double_nothing(memory_path: Path) -> None:
    (memory_path / "store").mkdir()
    subprocess.run([sys.executable, "-c", PROCESS, str(memory_path), str(KILLS)], check=True, timeout=50)
    queue = finish(memory_path)
    found = Counter((record["turn"], record["number"]) for record in at_store(memory_path))
    lines = (memory_path / "acknowledged").read_text().split("\n")[:-1]
    newest = {int(turn): int(number) for turn, number in map(str.split, lines)}
    promised = {(turn, number) for turn, last in newest.items() for number in range(last + 1)}
    assert len(newest) > KILLS / 6
    assert promised - set(found) == set()
    assert max(found.values()) == 1
    ledger = queue.ledger()
    assert ledger.exact and ledger.delivered == ledger.produced == len(at_store(memory_path))
    assert sorted(record["seq"] for record in at_store(memory_path)) == list(range(1, ledger.produced + 1))


def life(folder: Path, acknowledged: list[int]) -> None:
    """Everything a queue does: produce, seal, deliver, evict, find damage; short enough to kill at each call."""
    limits = QueueLimits(max_bytes=40 << 10, segment_bytes=1024)
    queue = Queue(queue_dir(folder), vehicle="v", boot="b", stream="s", limits=limits)
    claims = Claims(folder / "outbox")
    try:
        queue.open()
        claims.open()
        sync = sync_to_store(folder, claims)
        for turn in range(6):
            for part in range(4):
                number = len(acknowledged) + part
                queue.append(
                    b'{"number":%d,"fill":"%s"}' % (number, b"x" * 600), kind=RecordClass.TREND, mono_ns=0, wall_ns=0
                )
            queue.commit()
            acknowledged += range(len(acknowledged), len(acknowledged) + 4)
            queue.seal()
            if turn == 1 and queue.waiting:
                damage(queue)
            if turn % 2:
                sync.step()
            if turn != 4:
                queue.collect()
        queue.close()
    finally:
        claims.close()
        release(queue)


def damage(queue: Queue) -> None:
    with (queue.folder / queue.waiting[0].name).open("r+b") as handle:
        handle.seek(-50, 2)
        handle.write(b"?")


def release(queue: Queue) -> None:
    """What the kernel does for a dead process."""
    if queue._lock is not None:
        queue._lock.release()
    if queue._segment is not None and queue._segment.descriptor >= 0:
        os.close(queue._segment.descriptor)


@pytest.mark.slow
def test_a_kill_at_any_system_call_loses_nothing_and_doubles_nothing(
    memory_path: Path, calls_of: Callable[[Life], int], killed_at: Callable[[int, Life], None]
) -> None:
    (memory_path / "whole" / "store").mkdir(parents=True)
    calls = calls_of(lambda: life(memory_path / "whole", []))
    assert calls > 100
    for count in range(calls):
        folder = memory_path / str(count)
        (folder / "store").mkdir(parents=True)
        acknowledged: list[int] = []
        killed_at(count, lambda folder=folder, acknowledged=acknowledged: life(folder, acknowledged))  # type: ignore[misc]
        queue = finish(folder)
        records = [record for record in at_store(folder) if "number" in record]
        found = Counter(record["seq"] for record in records)
        ledger = queue.ledger()
        queue.close()
        assert max(found.values(), default=1) == 1, count
        lost = set(acknowledged) - {record["number"] for record in records}
        assert len(lost) <= ledger.damaged + ledger.evicted, count
        assert ledger.exact and ledger.unknown == 0 and ledger.pending == 0, (count, ledger)
        assert read_ledger_or_none(queue_dir(folder)) == ledger, count
