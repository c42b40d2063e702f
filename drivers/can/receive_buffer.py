"""A receive buffer large enough that a reader which lags for a moment loses nothing."""

from __future__ import annotations

import logging
import socket

RECEIVE_BUFFER_BYTES = 4 << 20
"""Asked of the kernel, which doubles it. It accounts about 830 bytes for each frame, so this holds 10 000 of them."""
SO_RCVBUFFORCE = 33
"""asm-generic/socket.h; Python's socket module does not name it. Passes over net.core.rmem_max, with CAP_NET_ADMIN."""


def raise_receive_buffer(receiver: socket.socket) -> None:
    """Ask for RECEIVE_BUFFER_BYTES; a warning in the log when the kernel grants less."""
    try:
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    granted = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if granted < RECEIVE_BUFFER_BYTES:
        logging.getLogger(__name__).warning(
            "the CAN receive buffer has %d bytes, wanted %d: raise sysctl net.core.rmem_max",
            granted,
            RECEIVE_BUFFER_BYTES,
        )
