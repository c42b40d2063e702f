"""The feed against a model: answers, cuts and kills never move the position past a record that is not over."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cardan.runtime.live.feed import Feed, Position, Waiting
from cardan.runtime.outbox.segment import Record, RecordClass

BATCH = 5


class FeedMachine(RuleBasedStateMachine):
    """An outbox that grows and loses its oldest, a broker that answers as it likes, and kills in between."""

    @initialize()
    def begin(self) -> None:
        self.log = "log-1"
        self.outbox: dict[int, Record] = {}
        self.high = 0
        self.over: set[int] = set()
        self.lost: set[int] = set()
        self.on_the_way: list[int] = []
        self.kept = Position()
        self.feed = Feed(self.source, self.kept)

    def source(self, after: int) -> Waiting:
        records = [record for seq, record in sorted(self.outbox.items()) if seq > after][:BATCH]
        return Waiting(self.log, records)

    @rule(count=st.integers(1, 8))
    def produce(self, count: int) -> None:
        for _ in range(count):
            self.high += 1
            self.outbox[self.high] = Record(self.high, 0, 0, RecordClass.EVENT, b"{}")

    @precondition(lambda self: self.outbox)
    @rule(count=st.integers(1, 4))
    def store_takes_the_oldest(self, count: int) -> None:
        for seq in sorted(self.outbox)[:count]:
            del self.outbox[seq]

    @rule()
    def send(self) -> None:
        record = self.feed.next_or_none()
        if record is not None:
            assert record.seq not in self.on_the_way
            self.feed.sent(record)
            self.on_the_way.append(record.seq)

    @rule()
    def withhold(self) -> None:
        record = self.feed.next_or_none()
        if record is not None:
            self.feed.withhold()
            self.over.add(record.seq)

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), answer=st.sampled_from(["told", "again", "never"]))
    def answer(self, data: st.DataObject, answer: str) -> None:
        seq = data.draw(st.sampled_from(self.on_the_way))
        self.on_the_way.remove(seq)
        if answer == "told":
            self.feed.told(seq)
        else:
            self.feed.refused(seq, for_good=answer == "never")
        if answer != "again":
            self.over.add(seq)

    @rule()
    def cut(self) -> None:
        self.feed.connection_lost()
        for seq in self.on_the_way:
            self.feed.told(seq)  # an answer of the connection before is none
        self.on_the_way.clear()

    @rule()
    def keep(self) -> None:
        self.kept = self.feed.position

    @rule()
    def kill(self) -> None:
        self.on_the_way.clear()
        self.feed = Feed(self.source, msgspec.json.decode(msgspec.json.encode(self.kept), type=Position))

    @rule()
    def tell_everything(self) -> None:
        """After this a healthy link has brought everything that is still there, each record once."""
        while (record := self.feed.next_or_none()) is not None:
            self.feed.sent(record)
            self.on_the_way.append(record.seq)
        for seq in self.on_the_way:
            self.feed.told(seq)
            self.over.add(seq)
        self.on_the_way.clear()
        missing = set(range(1, self.high + 1)) - self.over
        assert not missing & set(self.outbox), "nothing that is in the outbox was left out"
        counts = self.feed.counts
        assert counts.told + counts.gone + counts.withheld + counts.refused == self.feed.position.seq

    @invariant()
    def the_position_never_passes_what_is_not_over(self) -> None:
        seq = self.feed.position.seq
        assert seq >= self.kept.seq or self.kept.log != self.feed.log
        not_over = set(self.on_the_way) | (set(self.outbox) - self.over)
        assert all(number > seq for number in not_over)


FeedMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFeed = FeedMachine.TestCase


def test_another_queue_is_told_from_its_begin() -> None:
    record = Record(3, 0, 0, RecordClass.EVENT, b"{}")
    feed = Feed(lambda after: Waiting("new", [record] if after < 3 else []), Position(log="old", seq=900))
    assert feed.next_or_none() == record
    assert feed.log == "new" and feed.counts.gone == 2
