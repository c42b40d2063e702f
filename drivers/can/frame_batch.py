"""Read many CAN frames from a socket with one system call (recvmmsg), each with its kernel stamp, flags and drop count.

Python's own `recvmsg` costs two system calls for each frame of a CAN socket, because it looks up the interface's name
for an address that nobody asked for. The memory layout is that of 64-bit Linux (struct mmsghdr, cmsghdr, timespec).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from typing import Any

BATCH_FRAMES = 64
MSG_DONTWAIT = 0x40
MESSAGE = struct.Struct("@QI4xQQQQi4xI4x")
"""struct mmsghdr: name, its length, iovec, their count, control, its length, flags, length received."""
RESULT = struct.Struct("@48xi4xI4x")
"""Of the same: flags, length received."""
VECTOR = struct.Struct("@QQ")
SLOT = struct.Struct("@16xqq16xI4xIB3x64s")
CLASSIC_SLOT = struct.Struct("@16xqq16xI4xIB3x8s56x")
"""What one message is received into: SCM_TIMESTAMPNS (32 bytes), SO_RXQ_OVFL (24 bytes), struct canfd_frame (72 bytes):
seconds and nanoseconds of the wall clock, frames dropped since the socket was opened, identifier with its flag bits,
payload length, payload. The kernel writes the control messages in this order, and leaves alone what it has nothing for:
stamps stay zero where there are none, and the count of drops only grows. A classic frame fills 16 of the 72 bytes: the
second form reads these alone."""
CONTROL_BYTES = 56


class FrameBatch:
    """The buffers of one reader. One thread at a time. fd: frames may have up to 64 bytes."""

    def __init__(self, *, fd: bool = False) -> None:
        self._slot = SLOT if fd else CLASSIC_SLOT
        self._slots = bytearray(SLOT.size * BATCH_FRAMES)
        self._vectors = bytearray(VECTOR.size * BATCH_FRAMES)
        self._messages = bytearray(MESSAGE.size * BATCH_FRAMES)
        # Views that keep the memory of the three at its place.
        self._pinned = [
            (ctypes.c_char * len(part)).from_buffer(part) for part in (self._slots, self._vectors, self._messages)
        ]
        self._count = 0
        slots, vectors, self._address = (ctypes.addressof(pinned) for pinned in self._pinned)
        for index in range(BATCH_FRAMES):
            slot, vector = slots + SLOT.size * index, vectors + VECTOR.size * index
            frame_bytes = SLOT.size - CONTROL_BYTES
            VECTOR.pack_into(self._vectors, VECTOR.size * index, slot + CONTROL_BYTES, frame_bytes)
            MESSAGE.pack_into(self._messages, MESSAGE.size * index, 0, 0, vector, 1, slot, CONTROL_BYTES, 0, 0)
        self._used = [slice(MESSAGE.size * count) for count in range(BATCH_FRAMES + 1)]
        self._fresh = [bytes(self._messages[used]) for used in self._used]
        # PyDLL keeps the interpreter lock: the call never waits, and giving up the lock costs more than the call.
        self._recvmmsg = ctypes.PyDLL(None, use_errno=True).recvmmsg
        # Arguments that are C objects already: to convert numbers in each call costs as much as the call itself.
        self._number, self._descriptor = -1, ctypes.c_int(-1)
        self._where = ctypes.c_void_p(self._address)
        self._limits = [ctypes.c_uint(count) for count in range(BATCH_FRAMES + 1)]
        self._flags, self._no_limit = ctypes.c_int(MSG_DONTWAIT), ctypes.c_void_p()

    def read(self, descriptor: int, limit: int) -> int:
        """Receive at most `limit` (<= BATCH_FRAMES) frames without waiting; their number. OSError as recvmsg(2)."""
        if self._count:  # there the kernel wrote the lengths that it used over those it shall read
            self._messages[self._used[self._count]] = self._fresh[self._count]
        if self._number != descriptor:
            self._number, self._descriptor = descriptor, ctypes.c_int(descriptor)
        count: int = self._recvmmsg(self._descriptor, self._where, self._limits[limit], self._flags, self._no_limit)
        if count >= 0:
            self._count = count
            return count
        self._count = 0
        failure = ctypes.get_errno()
        if failure in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(failure, os.strerror(failure))

    def frames(self) -> Iterable[tuple[Any, Any]]:
        """What the last `read` brought, to be taken before the next one: pairs of RESULT and SLOT."""
        count = self._count
        if count == 1:
            return ((RESULT.unpack_from(self._messages), self._slot.unpack_from(self._slots)),)
        return zip(
            RESULT.iter_unpack(self._messages[self._used[count]]),
            self._slot.iter_unpack(self._slots[: SLOT.size * count]),
            strict=True,
        )
