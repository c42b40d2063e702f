"""The backlog holds what is not told, lets go of the rest, and never holds what nobody consents to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.live.backlog import Backlog
from cardan.runtime.live.feed import Position
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir
from cardan.runtime.outbox.peek import Peek
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass

KIND = RecordClass.EVENT
ALL = frozenset({"operation"})


class Site:
    """A queue, a store that takes everything, and a backlog."""

    def __init__(self, folder: Path, most_bytes: int = 1 << 20) -> None:
        self.outbox = folder / "outbox"
        self.own = folder / "backlog"
        limits = QueueLimits(max_bytes=1 << 20, segment_bytes=1 << 12)
        self.queue = Queue(class_dir(self.outbox, KIND), vehicle="v", boot="b", stream="event", limits=limits)
        self.queue.open()
        self.queue.keep_under("p", tuple(ALL))
        self.backlog = Backlog(self.queue.folder, self.own, most_bytes)
        self.peek = Peek(self.queue.folder, self.own)

    def write(self, count: int) -> None:
        for _ in range(count):
            self.queue.append(b'{"purpose":"operation"}', kind=KIND, mono_ns=1, wall_ns=1)
            self.queue.commit()
            self.queue.seal()

    def store_takes_all(self) -> None:
        claims = Claims(self.outbox)
        claims.open()
        while (claim := claims.oldest_or_none([KIND])) is not None:
            claim.delivered()
        claims.close()
        self.queue.collect()

    def position(self, seq: int) -> Position:
        return Position(log=self.queue._state.log, seq=seq)

    def seqs(self, after: int = 0) -> list[int]:
        found: list[int] = []
        while records := self.peek.after(found[-1] if found else after):
            found += [record.seq for record in records]
        return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.queue.close()


def test_what_the_store_has_is_still_there_until_it_is_told(site: Site) -> None:
    site.write(5)
    site.backlog.keep_up(site.position(2), ALL)
    site.store_takes_all()
    assert site.queue.waiting == [] and site.seqs() == [3, 4, 5]
    site.backlog.keep_up(site.position(4), ALL)
    assert site.seqs() == [5]
    site.backlog.keep_up(site.position(5), ALL)
    assert site.seqs() == [] and list(site.own.iterdir()) == []


def test_what_nobody_consents_to_is_not_held(site: Site) -> None:
    site.write(3)
    site.backlog.keep_up(site.position(0), ALL)
    site.store_takes_all()
    site.backlog.keep_up(site.position(0), frozenset())
    assert site.seqs() == [] and list(site.own.iterdir()) == []


def test_of_too_much_the_oldest_go_and_are_not_linked_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write(10)
    size = site.queue.waiting[0].size
    site.backlog = Backlog(site.queue.folder, site.own, 3 * size)
    for _ in range(3):
        site.backlog.keep_up(site.position(0), ALL)
        assert len(list(site.own.iterdir())) == 3
    site.store_takes_all()
    assert site.seqs() == [8, 9, 10]
    site.queue.close()


def test_another_queue_begins_anew(tmp_path: Path) -> None:
    first = Site(tmp_path / "first")
    first.write(3)
    first.backlog.keep_up(first.position(0), ALL)
    second = Site(tmp_path / "second")
    second.write(2)
    moved = Backlog(second.queue.folder, first.own, 1 << 20)
    moved.keep_up(first.position(3), ALL)
    moved.keep_up(first.position(3), ALL)
    logs = {Peek(second.queue.folder, first.own).after(0)[0].seq}
    assert logs == {1} and len(list(first.own.iterdir())) == 2
    for site in (first, second):
        site.queue.close()
