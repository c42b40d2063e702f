"""Read many CAN frames from a socket with one system call (recvmmsg), each with its kernel stamp, flags and drop count.

Python's own `recvmsg` costs two system calls for each frame of a CAN socket, because it looks up the interface's name
for an address that nobody asked for. The memory layout is that of 64-bit Linux (struct mmsghdr, cmsghdr, timespec).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from cardan.runtime.clock import NS_PER_S

BATCH_FRAMES = 64
MSG_DONTWAIT = 0x40
MESSAGE = struct.Struct("@QI4xQQQQi4xI4x")
"""struct mmsghdr: name, its length, iovec, their count, control, its length, flags, length received."""
MESSAGE_RESULT = struct.Struct("@40xQi4xI4x")
"""Of the same: control length, flags, length received."""
VECTOR = struct.Struct("@QQ")
CONTROL_LENGTH = struct.Struct("@Q")
CONTROL_LENGTH_AT = 40
SLOT = struct.Struct("@16xqq16xI4xIB3x64s")
"""What one message is received into: SCM_TIMESTAMPNS (32 bytes), SO_RXQ_OVFL (24 bytes), struct canfd_frame (72 bytes).
The kernel writes the control messages in this order; a classic frame fills 16 of the last 72 bytes."""
CONTROL_BYTES = 56
CONTROL_BYTES_WITH_STAMP = 32

Received = tuple[int, int, int, int, int, bytes]
"""bytes received, message flags, wall-clock stamp in ns (0 = none), frames dropped since the socket was opened
(0 = not said), identifier with its flag bits, payload."""


class FrameBatch:
    """The buffers of one reader. One thread at a time."""

    def __init__(self) -> None:
        self._slots = bytearray(SLOT.size * BATCH_FRAMES)
        self._vectors = bytearray(VECTOR.size * BATCH_FRAMES)
        self._messages = bytearray(MESSAGE.size * BATCH_FRAMES)
        # Views that keep the memory of the three at its place.
        self._pinned = [
            (ctypes.c_char * len(part)).from_buffer(part) for part in (self._slots, self._vectors, self._messages)
        ]
        slots, vectors, self._address = (ctypes.addressof(pinned) for pinned in self._pinned)
        for index in range(BATCH_FRAMES):
            slot, vector = slots + SLOT.size * index, vectors + VECTOR.size * index
            frame_bytes = SLOT.size - CONTROL_BYTES
            VECTOR.pack_into(self._vectors, VECTOR.size * index, slot + CONTROL_BYTES, frame_bytes)
            MESSAGE.pack_into(self._messages, MESSAGE.size * index, 0, 0, vector, 1, slot, CONTROL_BYTES, 0, 0)
        # PyDLL keeps the interpreter lock: the call never waits, and giving up the lock costs more than the call.
        self._recvmmsg = ctypes.PyDLL(None, use_errno=True).recvmmsg
        self._recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
        self._recvmmsg.restype = ctypes.c_int

    def read(self, descriptor: int, limit: int) -> int:
        """Receive at most `limit` (<= BATCH_FRAMES) frames without waiting; their number. OSError as recvmsg(2)."""
        count: int = self._recvmmsg(descriptor, self._address, limit, MSG_DONTWAIT, None)
        if count >= 0:
            return count
        failure = ctypes.get_errno()
        if failure in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(failure, os.strerror(failure))

    def take(self, index: int) -> Received:
        """One frame of the last `read`, by its place in it. Take each once, before the next `read`."""
        control, flags, length = MESSAGE_RESULT.unpack_from(self._messages, MESSAGE.size * index)
        seconds, nanoseconds, drops, frame_id, size, data = SLOT.unpack_from(self._slots, SLOT.size * index)
        # The kernel wrote the length that it used over the one that it shall read.
        CONTROL_LENGTH.pack_into(self._messages, MESSAGE.size * index + CONTROL_LENGTH_AT, CONTROL_BYTES)
        stamp_ns = seconds * NS_PER_S + nanoseconds if control >= CONTROL_BYTES_WITH_STAMP else 0
        return length, flags, stamp_ns, drops if control >= CONTROL_BYTES else 0, frame_id, data[:size]
