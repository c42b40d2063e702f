"""One line for each event on stderr, as systemd's journal reads it: `<3>text`, with the level of syslog."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

LEVELS = {"error": 3, "warning": 4, "info": 6}


class Journal:
    """Writes to a descriptor and never waits: a line that a stalled journal does not take is lost."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._with_level = not os.isatty(descriptor)
        self._socket = _socket_or_none(descriptor)

    def write(self, level: str, text: str) -> None:
        """One event; `text` may not break the line."""
        line = text.replace("\n", " ")
        data = f"<{LEVELS[level]}>{line}\n" if self._with_level else f"{line}\n"
        with suppress(OSError):
            if self._socket is not None:
                self._socket.send(data.encode(), socket.MSG_DONTWAIT)
            else:
                os.write(self._descriptor, data.encode())

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _socket_or_none(descriptor: int) -> socket.socket | None:
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
