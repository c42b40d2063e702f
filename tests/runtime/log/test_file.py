"""A log file is bounded, and a disk that takes no line stops nothing."""

from __future__ import annotations

import os
from pathlib import Path

from cardan.runtime.log.file import LOOK_EVERY, LogFile
from cardan.runtime.log.read import read_log
from cardan.runtime.log.record import LogRecord, encode


def record(number: int) -> LogRecord:
    return LogRecord(t_ns=number, wall_s=1.0, level="info", code="note", node="", text="x" * 100, fields={})


def test_a_file_at_its_limit_becomes_the_older_of_two(tmp_path: Path) -> None:
    path = tmp_path / "run" / "supervisor.log"
    log = LogFile(path, limit_bytes=20_000)
    for number in range(1000):
        log.append(encode(record(number)))
    log.close()
    assert sorted(os.listdir(path.parent)) == ["supervisor.log", "supervisor.log.1"]
    most = 20_000 + LOOK_EVERY * len(encode(record(999)))
    assert all((path.parent / name).stat().st_size <= most for name in os.listdir(path.parent))
    kept = [item.t_ns for item in read_log(path.parent)]
    assert kept == list(range(kept[0], 1000)), "the newest lines, in order, over both files"


def test_a_full_disk_loses_lines_and_counts_them() -> None:
    log = LogFile(Path("/dev/full"))
    log.append(b"a line\n")
    assert log.lost == 1
    log.close()
    log.append(b"after the end\n")
    assert log.lost == 2
