"""The log of a node's process: what it logs as records, what it prints as lines between them, into its own file."""

from __future__ import annotations

import faulthandler
import logging
import sys
from typing import Any

from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.log.file import LogFile
from cardan.runtime.log.journald import Journald, journald_or_none
from cardan.runtime.log.record import LEVELS, NOTE, SUFFIX, LogRecord, encode
from cardan.runtime.log.repeats import Repeats
from cardan.runtime.run import RunPaths

CODE, FIELDS = "cardan_code", "cardan_fields"
"""Names under which `logging` hands code and fields through."""


def coded(code: str, **fields: Any) -> dict[str, Any]:
    """`extra=` of a logging call that has a code."""
    return {CODE: code, FIELDS: fields}


class RecordHandler(logging.Handler):
    """Turns what is logged into records. What is repeated often is counted, and said when it is over."""

    def __init__(self, file: LogFile, clock: Clock, node: str, journald: Journald | None = None) -> None:
        super().__init__()
        self._file = file
        self._clock = clock
        self._node = node
        self._journald = journald
        self._repeats = Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            code = str(getattr(record, CODE, NOTE))
            kind = (record.levelname, code, record.msg if code == NOTE else "")
            now_ns = self._clock.now_ns()
            self._tell_held(now_ns)
            if self._repeats.may_write(kind, now_ns):
                fields = getattr(record, FIELDS, {})
                text = record.getMessage().removeprefix(f"{code}: ")
                self._write(_level(record.levelname), code, text, dict(fields))
        except Exception:  # a log never stops what it tells of
            self.handleError(record)

    def _tell_held(self, now_ns: int, *, all_of_it: bool = False) -> None:
        for kind, times, seconds in self._repeats.take_held(now_ns, all_of_it=all_of_it):
            name, code, message = kind if isinstance(kind, tuple) else ("info", NOTE, "")
            said = f" ({message})" if message else ""
            text = f"said {times} more times in {seconds:.1f} s{said}"
            self._write(_level(name), code, text, {"repeats": times})

    def _write(self, level: str, code: str, text: str, fields: dict[str, Any]) -> None:
        clock = self._clock
        record = LogRecord(
            t_ns=clock.now_ns(),
            wall_s=round(clock.wall_ns() / 1e9, 6),
            level=level,
            code=code,
            node=self._node,
            text=text,
            fields=fields,
        )
        self._file.append(encode(record))
        if self._journald is not None and (level != "info" or code != NOTE) and level != "debug":
            self._journald.write(record)

    def close(self) -> None:
        self._tell_held(self._clock.now_ns(), all_of_it=True)
        self._file.close()
        super().close()


def _level(name: str) -> str:
    level = name.lower()
    return level if level in LEVELS else "error" if level == "critical" else "info"


def log_to_file(paths: RunPaths, name: str) -> None:
    """Send stdout, stderr, and the log of this process to its own file."""
    file = LogFile(paths.logs / f"{name}{SUFFIX}", own_output=True)
    faulthandler.enable(file=sys.__stderr__ or 2)
    handler = RecordHandler(file, MonotonicClock(), name, journald_or_none(paths.run_id))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
