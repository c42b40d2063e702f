"""The queue against a model: any order of appends, commits, seals, deliveries, evictions, damage, and kills."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cardan.runtime.outbox.claims import Claim, Claims
from cardan.runtime.outbox.folder import Place, class_dir, open_path, segments_in
from cardan.runtime.outbox.ledger import read_ledger_or_none
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass

MEMORY = Path("/dev/shm")
LIMITS = QueueLimits(max_bytes=48 << 10, segment_bytes=2048)


class QueueModel(RuleBasedStateMachine):
    """What must be true: an acknowledged record is delivered once, waits, was evicted, or was damaged by us."""

    @initialize()
    def start(self) -> None:
        self.outbox = Path(tempfile.mkdtemp(prefix="cardan-queue-", dir=MEMORY if MEMORY.is_dir() else None))
        self.folder = class_dir(self.outbox, RecordClass.TREND)
        self.claims = Claims(self.outbox)
        self.claims.open()
        self.held: list[Claim] = []
        self.made = 0
        self.batch: list[int] = []
        self.acknowledged: set[int] = set()
        self.tolerated: set[int] = set()
        """Never acknowledged, but may have reached the disk before the kill."""
        self.delivered: list[int] = []
        self.damaged = 0
        self.open()

    def open(self) -> None:
        self.queue = Queue(self.folder, vehicle="v", boot="b", stream="s", limits=LIMITS)
        self.queue.open()

    def teardown(self) -> None:
        if not hasattr(self, "queue"):
            return
        self.queue.commit()
        self.acknowledged.update(self.batch)
        self.queue.seal()
        while self.queue.waiting:
            self.claim()
            while self.held:
                self.deliver()
            self.queue.collect()
        self.check_end()
        self.queue.close()
        self.claims.close()
        shutil.rmtree(self.outbox)

    def check_end(self) -> None:
        ledger = self.queue.ledger()
        assert ledger.pending == 0 and ledger.unknown == 0 and ledger.exact
        assert len(self.delivered) == len(set(self.delivered))
        assert set(self.delivered) <= self.acknowledged | self.tolerated
        missing = self.acknowledged - set(self.delivered)
        assert len(missing) <= ledger.evicted + ledger.damaged
        assert ledger.damaged <= self.damaged

    @rule(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=6))
    def append(self, sizes: list[int]) -> None:
        for size in sizes:
            payload = b'{"number":%d,"fill":"%s"}' % (self.made, b"x" * size)
            self.queue.append(payload, kind=RecordClass.TREND, mono_ns=0, wall_ns=0)
            self.batch.append(self.made)
            self.made += 1

    @rule()
    def commit(self) -> None:
        self.queue.commit()
        self.acknowledged.update(self.batch)
        self.batch = []

    @rule()
    def seal(self) -> None:
        self.queue.seal()

    @rule()
    def claim(self) -> None:
        claim = self.claims.oldest_or_none()
        if claim is not None:
            assert [record.seq for record in claim.records()] == list(range(claim.first, claim.last + 1))
            self.held.append(claim)

    @precondition(lambda self: self.held)
    @rule()
    def deliver(self) -> None:
        claim = self.held.pop(0)
        for record in claim.records():
            self.delivered.append(msgspec.json.decode(record.payload)["number"])
        claim.delivered()

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        self.held.pop(0).release()

    @rule()
    def collect(self) -> None:
        self.queue.collect()

    @rule()
    def kill_the_uplink(self) -> None:
        self.claims.close()
        self.held = []
        self.claims = Claims(self.outbox)
        self.claims.open()

    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """The process dies, perhaps in the middle of a write: any part of the next commit may be in the file."""
        queue = self.queue
        if queue._lock is not None:
            queue._lock.release()
        if queue._segment is not None:
            os.close(queue._segment.descriptor)
            pending = queue._batch.piece(1 << 30)[1]
            cut = data.draw(st.integers(0, len(pending)))
            with open_path(self.folder, queue._segment._first).open("ab") as file:
                file.write(pending[:cut] + data.draw(st.binary(max_size=10)))
        self.tolerated.update(self.batch)
        self.batch = []
        self.open()

    @precondition(lambda self: bool(segments_in(self.folder, Place.WAITING)))
    @rule(data=st.data())
    def flip_a_bit(self, data: st.DataObject) -> None:
        file = data.draw(st.sampled_from(segments_in(self.folder, Place.WAITING)))
        path = self.folder / file.name
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        self.damaged += len(file)

    @invariant()
    def the_account_is_exact(self) -> None:
        if hasattr(self, "queue"):
            ledger = read_ledger_or_none(self.folder)
            assert ledger is not None and ledger.exact and self.queue.ledger().exact
            assert self.queue.bytes <= LIMITS.max_bytes
            assert msgspec.structs.replace(ledger, delivered=0, pending=0) == msgspec.structs.replace(
                self.queue.ledger(), delivered=0, pending=0
            )


QueueModel.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestQueueModel = pytest.mark.slow(QueueModel.TestCase)
