"""What a node logs becomes records with codes; what it repeats is counted; the journal gets what matters."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.log.file import LogFile
from cardan.runtime.log.journald import Journald, journald_or_none
from cardan.runtime.log.node_log import RecordHandler, coded
from cardan.runtime.log.read import read_log
from cardan.runtime.log.record import LogRecord


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        server.settimeout(2.0)
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(tmp_path: Path, clock: FakeClock, journal: socket.socket) -> Iterator[logging.Logger]:
    logger = logging.Logger("cardan.camera", logging.DEBUG)
    journald = Journald("20260101-000000-beef", str(tmp_path / "journal"))
    handler = RecordHandler(LogFile(tmp_path / "logs" / "camera.log"), clock, "camera", journald)
    logger.addHandler(handler)
    yield logger
    handler.close()
    journald.close()


def written(tmp_path: Path) -> list[LogRecord]:
    return read_log(tmp_path / "logs")


def test_a_record_has_the_code_and_the_fields_of_the_call(tmp_path: Path, log: logging.Logger) -> None:
    log.error("%s: %s", "can-gone", "no channel", extra=coded("can-gone", channel="can1"))
    log.info("just said")
    first, second = written(tmp_path)
    assert (first.level, first.code, first.node, first.text) == ("error", "can-gone", "camera", "no channel")
    assert first.fields == {"channel": "can1"}
    assert (second.code, second.text) == ("note", "just said")


def test_what_is_said_too_often_is_counted_and_told_when_it_is_over(
    tmp_path: Path, log: logging.Logger, clock: FakeClock
) -> None:
    for number in range(1000):
        log.warning("frame %d is bad", number)
        clock.advance_s(0.001)
    assert len(written(tmp_path)) == 20
    clock.advance_s(10.0)
    log.info("something else")
    *_, told, last = written(tmp_path)
    assert told.fields == {"repeats": 980} and told.level == "warning"
    assert "980 more times" in told.text and "frame %d is bad" in told.text
    assert last.text == "something else"


def test_the_journal_gets_faults_and_events_with_fields_but_no_chatter(
    log: logging.Logger, journal: socket.socket
) -> None:
    log.info("chatter")
    log.debug("a sample", extra=coded("machine-sample"))
    log.error("two\nlines", extra=coded("crash"))
    data = journal.recv(65536)
    assert b"CARDAN_CODE\n" + (5).to_bytes(8, "little") + b"crash\n" in data
    assert b"MESSAGE\n" + len(b"camera: two\nlines").to_bytes(8, "little") + b"camera: two\nlines\n" in data
    assert b"CARDAN_RUN\n" in data and b"CARDAN_NODE\n" in data
    journal.setblocking(False)
    with pytest.raises(BlockingIOError):
        journal.recv(1)


def test_a_journal_that_is_not_there_loses_records_and_counts_them(tmp_path: Path) -> None:
    journald = Journald("r", str(tmp_path / "nobody"))
    journald.write(LogRecord(t_ns=1, wall_s=1.0, level="info", code="x", node="", text="", fields={}))
    assert journald.lost == 1
    journald.close()


def test_only_a_service_writes_to_the_journal() -> None:
    assert journald_or_none("r", {}) is None
