"""The inbox keeps each document once, and no more than it can hold."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.downlink.inbox import LONGEST_BYTES, MOST_WAITING, Inbox


def test_the_same_document_waits_once_and_is_gone_when_it_was_judged(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    assert inbox.waiting() == []
    assert inbox.put(b"one") and inbox.put(b"one") and inbox.put(b"two")
    assert sorted(path.read_bytes() for path in Inbox(tmp_path).waiting()) == [b"one", b"two"]
    inbox.remove(inbox.waiting()[0])
    assert len(inbox.waiting()) == 1


def test_what_is_too_much_or_too_long_is_left_outside(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    assert not inbox.put(b"x" * (LONGEST_BYTES + 1))
    assert all(inbox.put(b"%d" % number) for number in range(MOST_WAITING))
    assert not inbox.put(b"one more")
    assert inbox.put(b"5")
