"""Withdrawn consent: what was kept for it goes from the disk, and every number and every count stays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.outbox import erase
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.erase import Eraser
from cardan.runtime.outbox.folder import class_dir
from cardan.runtime.outbox.ledger import read_ledger_or_none
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass

BOTH = ("improvement", "operation")
LEFT = frozenset({"operation"})
SECRET = b"where-anna-lives"
KIND = RecordClass.EVENT


def open_queue(outbox: Path) -> Queue:
    limits = QueueLimits(max_bytes=1 << 20, segment_bytes=1 << 12)
    queue = Queue(class_dir(outbox, KIND), vehicle="v", boot="b", stream="event", limits=limits)
    queue.open()
    return queue


def filled(outbox: Path, count: int = 60) -> Queue:
    queue = open_queue(outbox)
    queue.keep_under("p", BOTH)
    for number in range(count):
        purpose = BOTH[number % 2]
        record = {"topic": "a/b", "message": {"n": number, "text": SECRET.decode() if number % 2 == 0 else "x"}}
        queue.append(json.dumps({**record, "purpose": purpose}).encode(), kind=KIND, mono_ns=number, wall_ns=7)
        queue.commit()
    queue.seal()
    return queue


def records(outbox: Path) -> list[Any]:
    claims, found = Claims(outbox), []
    claims.open()
    while (claim := claims.oldest_or_none([KIND])) is not None:
        found += [(record, claim.header.purposes) for record in claim.records()]
    claims.close()
    return found


def on_disk(outbox: Path) -> bytes:
    return b"".join(path.read_bytes() for path in outbox.rglob("*") if path.is_file())


def sealed_bytes(outbox: Path) -> int:
    return sum(path.stat().st_size for path in outbox.rglob("*.sealed"))


def finish(queue: Queue, consented: frozenset[str] = LEFT) -> int:
    eraser, count = Eraser(queue), 0
    for step in range(50):
        count += eraser.step(consented, step * NS_PER_S)
    return count


def test_what_consent_was_withdrawn_for_is_gone_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    queue = filled(tmp_path)
    before, sealed = queue.bytes, sealed_bytes(tmp_path)
    assert SECRET in on_disk(tmp_path) and len(queue.waiting) > 1
    assert finish(queue) == 30
    assert SECRET not in on_disk(tmp_path)
    assert before - queue.bytes == sealed - sealed_bytes(tmp_path) > 0
    assert queue.ledger().exact
    queue.close()
    found = records(tmp_path)
    assert [record.seq for record, _ in found] == list(range(1, 61))
    assert [record.mono_ns for record, _ in found] == list(range(60))
    assert {purposes for _, purposes in found} == {("operation",)}
    texts = [json.loads(record.payload) for record, _ in found]
    assert [text["topic"] for text in texts] == ["outbox/erased", "a/b"] * 30
    assert [text["message"]["n"] for text in texts if text["topic"] == "a/b"] == list(range(1, 60, 2))


def test_nothing_is_touched_while_everything_is_consented_to(tmp_path: Path) -> None:
    queue = filled(tmp_path)
    before = on_disk(tmp_path)
    assert finish(queue, frozenset(BOTH)) == 0
    assert on_disk(tmp_path) == before
    queue.close()


def test_a_claimed_segment_is_erased_when_it_comes_back(tmp_path: Path) -> None:
    queue = filled(tmp_path)
    claims = Claims(tmp_path)
    claims.open()
    claim = claims.oldest_or_none([KIND])
    assert claim is not None
    eraser = Eraser(queue)
    for step in range(10):
        eraser.step(LEFT, step * NS_PER_S)
    assert SECRET in on_disk(tmp_path)
    claim.release()
    for step in range(10, 15):
        eraser.step(LEFT, step * NS_PER_S)
    assert SECRET not in on_disk(tmp_path)
    claims.close()
    queue.close()


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.mark.parametrize("point", range(1, 9))
@pytest.mark.parametrize("name", ["move", "write_and_sync", "sync_folder", "replace"])
def test_a_kill_at_any_step_loses_no_record_and_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, point: int
) -> None:
    queue = filled(tmp_path)
    calls = 0

    def killing(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == point:
                raise Killed
            return original(*arguments)

        return call

    with monkeypatch.context() as patch:
        where = os if name == "replace" else erase
        patch.setattr(where, name, killing(getattr(where, name)))
        try:
            finish(queue)
        except Killed:
            pass
    assert queue._lock is not None
    queue._lock.release()  # as the kernel does
    again = open_queue(tmp_path)
    again.collect()
    assert again.ledger().exact
    finish(again)
    assert SECRET not in on_disk(tmp_path)
    again.close()
    ledger = read_ledger_or_none(class_dir(tmp_path, KIND))
    assert ledger is not None and ledger.exact and ledger.damaged == 0 and ledger.pending == 60
    assert [record.seq for record, _ in records(tmp_path)] == list(range(1, 61))
