"""Reading the event log of a run: the files of all writers as one row in time, and what is added to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from heapq import merge
from pathlib import Path

from cardan.runtime.log.record import LEVELS, OLDER, SUFFIX, SUPERVISOR, LogRecord, records_in

Wanted = Callable[[LogRecord], bool]
LONGEST_LINE = 1 << 20


def log_folder(data_dir: Path) -> Path:
    """Folder of the logs of all runs of this computer, a folder for each run."""
    return data_dir / "logs"


def known_runs(data_dir: Path) -> list[str]:
    """Ids of the runs whose logs are kept, oldest first."""
    try:
        return sorted(entry.name for entry in os.scandir(log_folder(data_dir)) if entry.is_dir())
    except OSError:
        return []


def read_log(folder: Path, of: Collection[str] | None = None) -> list[LogRecord]:
    """Every record of one run, in the order of monotonic time; what cannot be read is left out.

    of: what these alone have written, nodes or `supervisor`; None: everybody.
    """
    files = [path for path in _writers(folder) if of is None or path.name.removesuffix(SUFFIX) in of]
    return list(merge(*(_ordered(records) for records in map(_records, files)), key=lambda item: item.t_ns))


def _ordered(records: Iterator[LogRecord]) -> list[LogRecord]:
    return sorted(records, key=lambda record: record.t_ns)


def _writers(folder: Path) -> list[Path]:
    """The present file of each writer."""
    try:
        names = {entry.name.removesuffix(OLDER) for entry in os.scandir(folder)}
    except OSError:
        return []
    return [folder / name for name in sorted(names) if name.endswith(SUFFIX)]


def writer_of(path: Path) -> str:
    """The node whose file this is; empty for the supervisor's."""
    name = path.name.removesuffix(OLDER).removesuffix(SUFFIX)
    return "" if name == SUPERVISOR else name


def _records(path: Path) -> Iterator[LogRecord]:
    yield from records_in(_lines(path.with_name(path.name + OLDER), path), writer_of(path))


def _lines(*paths: Path) -> Iterator[bytes]:
    for path in paths:
        try:
            with path.open("rb") as file:
                while line := file.readline(LONGEST_LINE):
                    yield line
        except OSError:
            continue


def wanted(nodes: list[str], level: str, codes: list[str]) -> Wanted:
    """Records of these nodes (all, if none is named; `supervisor`: of the run itself), of this level and above."""
    lowest = LEVELS.index(level)
    named = {"" if name == SUPERVISOR else name for name in nodes}

    def is_wanted(record: LogRecord) -> bool:
        return (
            LEVELS.index(record.level) >= lowest
            and (not named or record.node in named)
            and (not codes or record.code in codes)
        )

    return is_wanted


class Follower:
    """What is appended to the log of a run from now on. Not for two threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, int]] = {}
        self._rests: dict[Path, bytes] = {}
        for path in _writers(folder):
            self._read[path] = _inode_and_size(path)

    def take(self) -> list[LogRecord]:
        """Whole lines that have come since the last call, in the order of time; never blocks."""
        taken: list[LogRecord] = []
        for path in _writers(self._folder):
            taken += records_in(self._new_lines(path), writer_of(path))
        return sorted(taken, key=lambda record: record.t_ns)

    def _new_lines(self, path: Path) -> list[bytes]:
        inode, size = _inode_and_size(path)
        known_inode, offset = self._read.get(path, (inode, 0))
        if known_inode != inode or size < offset:
            offset, self._rests[path] = 0, b""
        try:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except OSError:
            return []
        self._read[path] = inode, offset + len(data)
        *lines, self._rests[path] = (self._rests.get(path, b"") + data).split(b"\n")
        return lines


def _inode_and_size(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_size
