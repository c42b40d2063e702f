"""Speak to the service manager: the datagrams of sd_notify(3), and what its environment wants of us."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

NS_PER_US = 1000


@dataclass(frozen=True)
class ServiceWishes:
    """What the service manager has put into the environment of the service."""

    address: str = ""
    """Path of its socket, `@` first for an abstract name; empty when nobody listens."""
    watchdog_ns: int = 0
    """It wants a sign of life at least this often; 0: it does not."""


def take_wishes(environment: MutableMapping[str, str]) -> ServiceWishes:
    """Take the wishes out of the environment: what is started from here on must not speak for the service.

    The watchdog is ours when WATCHDOG_PID names this process or its parent (the guardian, which systemd started).
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    wanted_us, main_pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    ours = main_pid in ("", str(os.getpid()), str(os.getppid()))
    is_number = wanted_us.isascii() and wanted_us.isdigit()
    return ServiceWishes(address, int(wanted_us) * NS_PER_US if ours and is_number else 0)


class Notifier:
    """A socket to the service manager. Never waits and never raises; without an address every message is a success."""

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if address else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def send(self, *assignments: str) -> bool:
        """Send assignments such as `READY=1` as one message; False when it could not be delivered now."""
        if self._socket is None:
            return True
        lines = (assignment.replace("\n", " ") for assignment in assignments)
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
