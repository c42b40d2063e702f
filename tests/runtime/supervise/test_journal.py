"""Lines for the journal, on a pipe and on a stream socket."""

from __future__ import annotations

import os
import socket

from cardan.runtime.supervise.journal import Journal


def test_a_line_carries_its_level_and_stays_one_line() -> None:
    readable, writable = os.pipe()
    Journal(writable).write("error", "bridge: failed\n  hint: see the log")
    assert os.read(readable, 4096) == b"<3>bridge: failed   hint: see the log\n"
    os.close(readable)
    os.close(writable)


def test_a_terminal_gets_no_level() -> None:
    primary, secondary = os.openpty()
    Journal(secondary).write("info", "the run is running")
    assert os.read(primary, 4096) == b"the run is running\r\n"
    os.close(primary)
    os.close(secondary)


def test_a_journal_that_does_not_read_costs_lines_and_no_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        journal = Journal(ours.fileno())
        for _ in range(10_000):
            journal.write("info", "x" * 100)
        journal.close()
        assert theirs.recv(6) == b"<6>xxx"
