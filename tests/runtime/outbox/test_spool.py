"""Four classes: what matters more is durable sooner and given up later, and trouble of the disk stays where it is."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir, listing
from cardan.runtime.outbox.ledger import read_ledgers
from cardan.runtime.outbox.limits import ClassLimits, SpoolLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import TOMBSTONE_TOPIC, NotTaken, Spool, Stamp

CRITICAL, EVENT, TREND, BULK = RecordClass
Life = Callable[[], None]


def limits(total: int = 1 << 20, **own: ClassLimits) -> SpoolLimits:
    small = ClassLimits(max_bytes=200 << 10, segment_bytes=4096, commit_s=0.05, seal_s=5.0)
    critical = ClassLimits(max_bytes=128 << 10, segment_bytes=4096, commit_s=0.0, seal_s=1.0)
    usual = {"critical": critical, "event": small, "trend": small, "bulk": small}
    return SpoolLimits(**usual | own, max_bytes=total, reserve_bytes=64 << 10)


class Outbox:
    """A spool on a clock that moves when it is told to."""

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        self.spool = Spool(folder, vehicle="v", boot="b", limits=limits)
        self.spool.open()
        self.now_ns = NS_PER_S

    @property
    def now(self) -> Stamp:
        return Stamp(self.now_ns, self.now_ns + 10**18)

    def put(self, kind: RecordClass, *numbers: int, fill: int = 0) -> None:
        for number in numbers:
            payload = b'{"number":%d,"fill":"%s"}' % (number, b"x" * fill)
            self.spool.put(kind, payload, self.now, now_ns=self.now_ns)

    def step(self, seconds: float = 0.0) -> None:
        self.now_ns += ns(seconds)
        self.spool.step(self.now)

    def produced(self, kind: RecordClass) -> int:
        return self.spool.ledgers()[kind].produced

    def fill(self, kind: RecordClass, count: int) -> None:
        """Segments of about 4 KiB."""
        for number in range(count):
            self.put(kind, number, fill=4000)
            self.step(0.1)


@pytest.fixture
def outbox(memory_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(memory_path, limits())
    yield outbox
    outbox.spool.close(outbox.now)
    assert all(ledger.exact for ledger in outbox.spool.ledgers().values())
    assert read_ledgers(memory_path) == outbox.spool.ledgers()


def kept(outbox: Outbox, kind: RecordClass) -> list[Any]:
    """Everything complete of a class; it is offered again afterwards."""
    claims = Claims(outbox.spool.folder)
    claims.open()
    found = []
    while (claim := claims.oldest_or_none([kind])) is not None:
        found += [msgspec.json.decode(record.payload) for record in claim.records()]
    claims.close()
    claims.open()
    claims.close()
    return found


def test_critical_is_durable_with_the_step_and_the_others_after_their_time(outbox: Outbox) -> None:
    for kind in RecordClass:
        outbox.put(kind, 1)
    outbox.step()
    assert [outbox.produced(kind) for kind in RecordClass] == [1, 0, 0, 0]
    outbox.step(0.05)
    assert [outbox.produced(kind) for kind in RecordClass] == [1, 1, 1, 1]


def test_a_batch_that_is_large_enough_does_not_wait(outbox: Outbox) -> None:
    outbox.put(TREND, *range(20), fill=4000)
    outbox.step()
    assert outbox.produced(TREND) == 20


def test_a_segment_that_is_not_full_leaves_after_its_time(outbox: Outbox) -> None:
    outbox.put(CRITICAL, 1)
    outbox.put(TREND, 1)
    outbox.step(0.1)
    outbox.step(1.0)
    assert len(kept(outbox, CRITICAL)) == 1
    assert kept(outbox, TREND) == []
    outbox.step(4.0)
    assert len(kept(outbox, TREND)) == 1


def test_the_lowest_class_makes_room_first_and_a_higher_one_never_for_a_lower(memory_path: Path) -> None:
    outbox = Outbox(memory_path, limits(total=400 << 10))
    outbox.fill(EVENT, 20)
    outbox.fill(TREND, 10)
    outbox.fill(BULK, 200)
    assert outbox.spool.bytes <= 400 << 10
    evicted = {kind: ledger.evicted for kind, ledger in outbox.spool.ledgers().items()}
    assert evicted[BULK] > 150 and evicted[EVENT] == evicted[TREND] == evicted[CRITICAL] == 0
    outbox.fill(EVENT, 100)
    ledgers = outbox.spool.ledgers()
    assert ledgers[BULK].pending <= 2 and ledgers[TREND].evicted > 0
    told = [line["message"] for line in kept(outbox, CRITICAL) if line["topic"] == TOMBSTONE_TOPIC]
    outbox.spool.close(outbox.now)
    told = [line["message"] for line in kept(outbox, CRITICAL) if line["topic"] == TOMBSTONE_TOPIC]
    for kind in (EVENT, TREND, BULK):
        counted = sum(item["records"] for item in told if item["stream"] == kind.name.lower())
        assert counted == outbox.spool.ledgers()[kind].evicted
    assert {item["reason"] for item in told} == {"room"}


def test_what_was_given_up_is_told_also_after_a_kill(memory_path: Path) -> None:
    outbox = Outbox(memory_path, limits())
    lane = outbox.spool.queue(BULK)
    for number in range(100):
        lane.append(b'{"n":%d,"fill":"%s"}' % (number, b"x" * 4000), kind=BULK, mono_ns=0, wall_ns=0)
        lane.commit()
    assert lane.has_untold
    for kind in RecordClass:
        outbox.spool.queue(kind).close()
    again = Outbox(memory_path, limits())
    again.step()
    again.spool.close(again.now)
    told = [line["message"]["records"] for line in kept(again, CRITICAL)]
    assert sum(told) == again.spool.ledgers()[BULK].evicted > 0


class Disk:
    """Fails calls on the files of one class."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._folder = str(folder)
        self.error: int | None = None
        self.failures = 0
        self.written: list[str] = []
        for name in ("write", "fdatasync"):
            monkeypatch.setattr(os, name, self._failing(name, getattr(os, name)))

    def _failing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def failing(descriptor: int, *arguments: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            ours = path.startswith(self._folder) and path.endswith(".open")
            if ours and name == "write":
                self.written.append(path)
            if ours and self.error is not None and (name == "fdatasync" or self.error == errno.ENOSPC):
                self.failures += 1
                raise OSError(self.error, os.strerror(self.error))
            return call(descriptor, *arguments)

        return failing


def test_after_a_failed_sync_the_class_rests_its_file_is_left_and_the_others_go_on(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(memory_path, limits())
    disk = Disk(monkeypatch, class_dir(memory_path, TREND))
    outbox.put(TREND, 1, 2)
    outbox.step(0.1)
    disk.error = errno.EIO
    outbox.put(TREND, 3)
    outbox.put(EVENT, 1)
    outbox.step(0.1)
    failed = disk.written[-1]
    assert dict(outbox.spool.troubles()) == {TREND: f"{class_dir(memory_path, TREND)}: Input/output error"}
    assert outbox.produced(TREND) == 2 and outbox.produced(EVENT) == 1
    disk.error = None
    with pytest.raises(NotTaken, match="Input/output error"):
        outbox.put(TREND, 4)
    assert outbox.spool.take_refused() == 2
    outbox.step(10.0)
    outbox.put(TREND, 5)
    outbox.step(0.1)
    assert dict(outbox.spool.troubles()) == {}
    assert disk.written[-1] != failed and outbox.produced(TREND) == 3
    outbox.spool.close(outbox.now)
    assert [line["number"] for line in kept(outbox, TREND)] == [1, 2, 5]
    assert outbox.spool.ledgers()[TREND].exact


def test_a_disk_that_stays_broken_is_asked_ever_more_seldom(memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(memory_path, limits())
    disk = Disk(monkeypatch, class_dir(memory_path, TREND))
    disk.error = errno.EIO
    for _ in range(3600):
        try:
            outbox.put(TREND, 1)
        except NotTaken:
            pass
        outbox.step(1.0)
    assert 10 <= disk.failures <= 20
    assert outbox.spool.take_refused() == 3600
    disk.error = None
    outbox.spool.close(outbox.now)


def test_a_full_disk_takes_critical_records_from_the_reserve(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(memory_path, limits())
    outbox.put(CRITICAL, 1)
    outbox.step()
    disk = Disk(monkeypatch, class_dir(memory_path, CRITICAL))
    give = outbox.spool._reserve.give

    def space_again() -> bool:
        disk.error = None
        return give()

    monkeypatch.setattr(outbox.spool._reserve, "give", space_again)
    disk.error = errno.ENOSPC
    held = outbox.spool._reserve.held
    outbox.put(CRITICAL, 2)
    outbox.step()
    assert held == 64 << 10 and disk.failures == 1
    assert outbox.produced(CRITICAL) == 2
    outbox.step(2.0)
    assert outbox.spool._reserve.held == 64 << 10, "it is taken back when there is room"
    outbox.spool.close(outbox.now)


def test_a_full_disk_refuses_lower_classes_throws_nothing_of_theirs_away_and_is_over_within_a_second(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(memory_path, limits())
    outbox.fill(TREND, 10)
    disk = Disk(monkeypatch, class_dir(memory_path, TREND))
    disk.error = errno.ENOSPC
    for number in range(600):
        try:
            outbox.put(TREND, number)
        except NotTaken as error:
            assert error.reason == "no space"
        outbox.step(1.0)
    assert outbox.produced(TREND) == 10 and outbox.spool.ledgers()[TREND].evicted == 0
    assert outbox.spool.take_refused() == 600
    disk.error = None
    outbox.step(0.5)
    outbox.put(TREND, 1)
    outbox.step(0.1)
    assert outbox.produced(TREND) == 11
    outbox.spool.close(outbox.now)


def life(outbox: Outbox, kept: dict[RecordClass, int]) -> None:
    """Short, and full of evictions: kept says what was acknowledged."""
    for number in range(40):
        outbox.put([BULK, TREND, BULK, EVENT][number % 4], number, fill=4000)
        outbox.step(0.1)
        kept.update({kind: outbox.spool.queue(kind).acknowledged for kind in (EVENT, TREND, BULK)})


def forget(outbox: Outbox) -> None:
    """What the kernel does for a dead process, with what was open before `killed_at`."""
    for kind in RecordClass:
        queue = outbox.spool.queue(kind)
        if queue._segment is not None and queue._segment.descriptor >= 0:
            with suppress(OSError):
                os.close(queue._segment.descriptor)
        queue.release()


@pytest.mark.slow
def test_a_kill_at_any_point_leaves_every_record_here_or_told_as_given_up(
    memory_path: Path, calls_of: Callable[[Life], int], killed_at: Callable[[int, Life], None]
) -> None:
    tight = limits(total=230 << 10)
    whole = Outbox(memory_path / "whole", tight)
    calls = calls_of(lambda: life(whole, {}))
    assert whole.spool.ledgers()[BULK].evicted > 5
    for count in range(0, calls, 7):
        outbox, kept_up_to = Outbox(memory_path / str(count), tight), dict.fromkeys(RecordClass, 0)
        killed_at(count, lambda outbox=outbox, kept=kept_up_to: life(outbox, kept))  # type: ignore[misc]
        forget(outbox)
        again = Outbox(memory_path / str(count), tight)
        while any(again.spool.queue(kind).has_untold for kind in RecordClass):
            again.step(1.0)  # telling needs room too, and may give up more
        again.spool.close(again.now)
        here, told = numbers_here(again), numbers_told(again)
        for kind in (EVENT, TREND, BULK):
            ledger = again.spool.ledgers()[kind]
            assert ledger.exact and ledger.unknown == 0 and ledger.damaged == 0, (count, kind, ledger)
            assert set(range(1, kept_up_to[kind] + 1)) <= here[kind] | told[kind], (count, kind)
            assert not here[kind] & told[kind] and len(told[kind]) == ledger.evicted, (count, kind)


def numbers_here(outbox: Outbox) -> dict[RecordClass, set[int]]:
    found: dict[RecordClass, set[int]] = {kind: set() for kind in RecordClass}
    for kind in RecordClass:
        for file in listing(class_dir(outbox.spool.folder, kind)).pending:
            found[kind] |= set(range(file.first, file.last + 1))
    return found


def numbers_told(outbox: Outbox) -> dict[RecordClass, set[int]]:
    found: dict[RecordClass, set[int]] = {kind: set() for kind in RecordClass}
    for line in kept(outbox, CRITICAL):
        told = line["message"]
        found[RecordClass[told["stream"].upper()]] |= set(range(told["first"], told["last"] + 1))
    return found


def test_short_writes_are_gone_on_with(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
    outbox.put(CRITICAL, *range(5))
    outbox.step()
    outbox.step(1.0)
    assert [line["number"] for line in kept(outbox, CRITICAL)] == list(range(5))


def test_a_record_that_is_too_long_is_refused_and_nothing_else(outbox: Outbox) -> None:
    with pytest.raises(NotTaken, match="longer than a segment"):
        outbox.put(EVENT, 1, fill=5000)
    outbox.put(EVENT, 2)
    outbox.step(0.1)
    assert outbox.produced(EVENT) == 1


def test_an_open_that_fails_half_way_leaves_nothing_locked(tmp_path: Path) -> None:
    (tmp_path / "trend").write_text("a file is in the way")
    for _ in range(2):
        with pytest.raises(OSError, match=r"File exists|Not a directory"):
            Outbox(tmp_path, limits())
    (tmp_path / "trend").unlink()
    Outbox(tmp_path, limits()).spool.close(Stamp(0, 0))


def test_limits_that_cannot_work_are_refused(tmp_path: Path) -> None:
    tiny = ClassLimits(max_bytes=1 << 16, segment_bytes=1 << 15, commit_s=0.0, seal_s=1.0)
    with pytest.raises(ConfigError, match="trend: 65536 bytes cannot hold four segments"):
        Spool(tmp_path, vehicle="v", boot="b", limits=limits(trend=tiny))
    with pytest.raises(ConfigError, match="do not hold the critical class"):
        Spool(tmp_path, vehicle="v", boot="b", limits=limits(total=1 << 17))


def test_another_policy_begins_another_segment_of_every_class(outbox: Outbox) -> None:
    outbox.put(TREND, 1)
    outbox.spool.keep_under("abc", ("operation",), outbox.now)
    outbox.put(TREND, 2)
    outbox.step(0.1)
    assert len(listing(class_dir(outbox.spool.folder, TREND)).pending) == 1
    assert outbox.produced(TREND) == 2
