"""Records to systemd's journal with their fields (`journalctl CARDAN_NODE=bridge`), where a service's processes log.

One datagram for each record, as systemd describes in https://systemd.io/JOURNAL_NATIVE_PROTOCOL. Never waits: what
the journal does not take at once is lost there, and counted; the log file has it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from cardan.runtime.log.record import LogRecord

SOCKET = "/run/systemd/journal/socket"
PRIORITIES = {"error": 3, "warning": 4, "info": 6, "debug": 7}
"""Levels of syslog(3)."""
LONGEST = 32 << 10


class Journald:
    """The journal of this computer. Not for two threads; `close()` it."""

    def __init__(self, run_id: str, path: str = SOCKET) -> None:
        self._run_id = run_id
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self.lost = 0

    def write(self, record: LogRecord) -> None:
        fields = {
            "MESSAGE": f"{record.node}: {record.text}" if record.node else record.text,
            "PRIORITY": PRIORITIES[record.level],
            "SYSLOG_IDENTIFIER": "cardan",
            "CARDAN_CODE": record.code,
            "CARDAN_NODE": record.node,
            "CARDAN_RUN": self._run_id,
        }
        try:
            self._socket.sendto(b"".join(_field(name, value) for name, value in fields.items()), self._path)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        self._socket.close()


def journald_or_none(run_id: str, environment: Mapping[str, str] = os.environ) -> Journald | None:
    """The journal, where systemd has connected this service to it (systemd.exec(5))."""
    return Journald(run_id) if "JOURNAL_STREAM" in environment and os.path.exists(SOCKET) else None


def _field(name: str, value: Any) -> bytes:
    """One field: with its length, so that it may hold line breaks."""
    data = str(value).encode("utf-8", "replace")[:LONGEST]
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
