"""What ZeroMQ says about a connection, in words: who was refused, and why a link does not come up."""

from __future__ import annotations

from enum import Enum

import zmq
from zmq.utils.monitor import recv_monitor_message

EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
)
CRYPTOGRAPHIC = 0x11000001
MECHANISM_MISMATCH = 0x11000002


class Happening(Enum):
    """What has happened to a connection."""

    UP = "connected"
    DOWN = "disconnected"
    NO_ACCESS = "the other computer does not trust our key"
    NO_KEYS = "only one of both ends uses keys"
    WRONG_KEY = "the key of the server is another one than we were told"
    NO_HANDSHAKE = "the other end closed the connection before both had shown their keys"
    NO_SENSE = "the other end does not speak ZeroMQ's protocol"


def happening_of(event: int, value: int) -> Happening:
    """One event of a socket monitor."""
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        return Happening.UP
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return Happening.NO_ACCESS
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        known = {CRYPTOGRAPHIC: Happening.WRONG_KEY, MECHANISM_MISMATCH: Happening.NO_KEYS}
        return known.get(value, Happening.NO_SENSE)
    return Happening.NO_HANDSHAKE if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL else Happening.DOWN


class Monitor:
    """Watches one socket; it must be made before the socket is bound or connected, and closed before it."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._events = socket.get_monitor_socket(EVENTS)

    def fileno(self) -> int:
        """Readable when something has happened."""
        return int(self._events.getsockopt(zmq.FD))

    def happenings(self) -> list[Happening]:
        """Everything since the last call, oldest first."""
        found = []
        while self._events.poll(0):
            message = recv_monitor_message(self._events)
            found.append(happening_of(int(message["event"]), int(message["value"])))
        return found

    def close(self) -> None:
        self._socket.disable_monitor()
        self._events.close(linger=0)
