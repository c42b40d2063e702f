"""Read many CAN frames from a socket with one system call (recvmmsg), each with its kernel stamp, flags and drop count.

Python's own `recvmsg` costs two system calls for each frame of a CAN socket, because it looks up the interface's name
for an address that nobody asked for. The memory layout is that of 64-bit Linux (struct mmsghdr, cmsghdr, timespec).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable
from typing import Any

BATCH_FRAMES = 64
MSG_DONTWAIT = 0x40
MESSAGE = struct.Struct("@QI4xQQQQi4xI4x")
"""struct mmsghdr: name, its length, iovec, their count, control, its length, flags, length received."""
RESULT = struct.Struct("@48xi4xI4x")
"""Of the same: flags, length received."""
VECTOR = struct.Struct("@QQ")
SLOT = struct.Struct("@16xqqIB3x64s")
CLASSIC_SLOT = struct.Struct("@16xqqIB3x8s56x")
"""What one message is received into: SCM_TIMESTAMPNS (32 bytes) and struct canfd_frame (72 bytes): seconds and
nanoseconds of the wall clock, identifier with its flag bits, payload length, payload. A classic frame fills 16 of the
72 bytes: the second form reads these alone. There is no room for a second control message: the kernel has one to give
(SO_RXQ_OVFL) only when it has dropped frames, and then says by MSG_CTRUNC that it could not. So what it writes over
the lengths in struct mmsghdr is what stood there, and nothing has to be put back before the next call."""
CONTROL_BYTES = 32
SLOTS_AT = MESSAGE.size * BATCH_FRAMES
VECTORS_AT = SLOTS_AT + SLOT.size * BATCH_FRAMES
FIRST = f"@48xi12x{SLOTS_AT - MESSAGE.size}x"
"""Flags of the first message, and on to the first slot."""


class FrameBatch:
    """The buffers of one reader. One thread at a time. fd: frames may have up to 64 bytes.

    A caller with time calls `read` and `frames`. One without calls `receive(descriptor, where, limit, MSG_DONTWAIT,
    None)` and, for a single frame, `first(memory)`; for all else it gives what `receive` returned to `took`.
    """

    def __init__(self, *, fd: bool = False) -> None:
        self._slot = SLOT if fd else CLASSIC_SLOT
        self.memory = bytearray(VECTORS_AT + VECTOR.size * BATCH_FRAMES)
        pinned = (ctypes.c_char * len(self.memory)).from_buffer(self.memory)  # keeps it at its place
        start = ctypes.addressof(pinned)
        for index in range(BATCH_FRAMES):
            slot, vector = SLOTS_AT + SLOT.size * index, VECTORS_AT + VECTOR.size * index
            VECTOR.pack_into(self.memory, vector, start + slot + CONTROL_BYTES, SLOT.size - CONTROL_BYTES)
            message = 0, 0, start + vector, 1, start + slot, CONTROL_BYTES, 0, 0
            MESSAGE.pack_into(self.memory, MESSAGE.size * index, *message)
        view = memoryview(self.memory)
        self._messages, self._slots = view[:SLOTS_AT], view[SLOTS_AT:VECTORS_AT]
        self._count = 0
        self.first: Callable[[bytearray], tuple[Any, ...]]
        """Flags and SLOT of the first frame, in one."""
        self.first = struct.Struct(FIRST + self._slot.format.removeprefix("@")).unpack_from
        # PyDLL keeps the interpreter lock: the call never waits, and giving up the lock costs more than the call.
        # Plain numbers are cheaper here than C objects that are made once, of which ctypes makes others in each call.
        self.receive: Callable[..., int] = ctypes.PyDLL(None, use_errno=True).recvmmsg
        self.where = ctypes.byref(pinned)  # made once: this one ctypes takes as it is

    def read(self, descriptor: int, limit: int) -> int:
        """Receive at most `limit` (<= BATCH_FRAMES) frames without waiting; their number. OSError as recvmsg(2)."""
        return self.took(self.receive(descriptor, self.where, limit, MSG_DONTWAIT, None))

    def took(self, count: int) -> int:
        """What `receive` returned, which is a number of frames; 0 where there was none. OSError as recvmsg(2)."""
        if count >= 0:
            self._count = count
            return count
        self._count = 0
        failure = ctypes.get_errno()
        if failure in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(failure, os.strerror(failure))

    def frames(self) -> Iterable[tuple[Any, Any]]:
        """What was received, to be taken before the next call: pairs of RESULT and SLOT."""
        count = self._count
        return zip(
            RESULT.iter_unpack(self._messages[: MESSAGE.size * count]),
            self._slot.iter_unpack(self._slots[: SLOT.size * count]),
            strict=True,
        )
