"""A CAN channel on the kernel's own sockets (SocketCAN): the one that a control loop uses.

One socket both sends and receives, because the kernel tells only the socket that sent a frame that its echo is its own
(MSG_CONFIRM): so a frame of ours is never taken for traffic of others, and "it was on the bus" is a fact. The kernel
keeps a separate buffer for each direction. A channel that only sends receives nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

from cardan.drivers.can.channel import EXTENDED_ID_MAX, STANDARD_ID_MAX, ChannelCounters, check_frame
from cardan.drivers.can.frame_batch import BATCH_FRAMES, MSG_DONTWAIT, FrameBatch
from cardan.drivers.can.socketcan_open import dropped_of, gone_error, open_can_socket
from cardan.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cardan.runtime.errors import DeviceError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

TRANSMIT_QUEUE_FRAMES = 64
TRANSMIT_AGE_MAX_NS = 3 * NS_PER_S // 100
"""Three periods of a 100 Hz control loop: a command that waited longer is not sent any more (the envelope's age limit).
The kernel's own queue in front of the controller (txqueuelen) cannot be recalled."""
CONFIRMED_FRAMES = 1024
"""Echoes kept for `take_confirmed`; the oldest gives way."""

# linux/can.h
EXTENDED_FLAG = 0x8000_0000
REMOTE_FLAG = 0x4000_0000
ERROR_FLAG = 0x2000_0000
CLASSIC = struct.Struct("=IB3x8s")
FD = struct.Struct("=IBB2x64s")
CLASSIC_BYTES, CLASSIC_SIZE = 8, CLASSIC.size
FD_BIT_RATE_SWITCH, FD_FORMAT = 0x01, 0x04
MSG_CONFIRM, MSG_CTRUNC = 0x800, 0x8
TELLING = MSG_CONFIRM | MSG_CTRUNC
"""Once the kernel has dropped a frame, each later one has MSG_CTRUNC (frame_batch.py) and takes the longer way. The
third flag there is, MSG_DONTROUTE, only says that a program of this computer has sent the frame."""
PACK = CLASSIC.pack


def pack_frame(frame_id: int, data: bytes, *, extended: bool = False, fd: bool = False, error: bool = False) -> bytes:
    """struct can_frame, or struct canfd_frame with bit-rate switch, for the kernel. The frame is a valid one."""
    flagged = frame_id | (EXTENDED_FLAG if extended else 0) | (ERROR_FLAG if error else 0)
    if fd:
        return FD.pack(flagged, len(data), FD_BIT_RATE_SWITCH | FD_FORMAT, data)
    return CLASSIC.pack(flagged, len(data), data)


class SocketCanChannel:
    """A channel on an interface of the kernel: `can0`, `vcan0`, ... It was brought up by the system, with its bit rate.

    A frame that the kernel has no room for waits here, at most TRANSMIT_QUEUE_FRAMES of them and TRANSMIT_AGE_MAX_NS
    long, and goes out with the next `send`, `receive_batch` or `flush`. What is too old or too much gives way, oldest
    first, and is counted in `counters.send_dropped`; the next `send` raises DeviceError, though its own frame goes out
    or waits.
    """

    def __init__(
        self,
        settings: CanChannelSettings,
        clock: Clock | None = None,
        *,
        listen: bool = True,
        open_socket: Callable[[CanChannelSettings, bool], socket.socket] = open_can_socket,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        """write: how a frame is handed over; `socket.send` takes a twentieth more instructions for the same."""
        self.name = settings.name
        self.counters = ChannelCounters()
        self._settings = settings
        clock = clock or MonotonicClock()
        self._now_ns, self._wall_ns = clock.now_ns, clock.wall_ns
        self._reached_ns = clock.now_ns()
        """Stamp of the newest frame, or when the channel was last seen empty (`ReceptionClock`, without its calls)."""
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._dropped = 0
        """Waiting frames that gave way since the sender was told last."""
        self._confirmed: deque[CanFrame] = deque(maxlen=CONFIRMED_FRAMES)
        self._socket: socket.socket | None = open_socket(settings, listen)
        self._write, self._out = write, self._socket.fileno()
        self._descriptor = self._out if listen else -1
        self._classic = not settings.fd
        batch = self._batch = FrameBatch(fd=settings.fd)
        self._receive, self._where, self._first, self._memory = batch.receive, batch.where, batch.first, batch.memory

    @property
    def waiting(self) -> int:
        """Frames that wait for room in the kernel's transmit queue."""
        return len(self._waiting)

    def send(self, frame_id: int, data: bytes, *, extended: bool = False, fd: bool = False, error: bool = False) -> int:
        """See `CanChannel.send`. Only virtual interfaces carry error frames: hardware would send data."""
        size = len(data)
        if extended or fd or error or size > CLASSIC_BYTES or not 0 <= frame_id <= STANDARD_ID_MAX:
            packet = self._checked_packet(frame_id, data, extended=extended, fd=fd, error=error)
        else:
            packet = PACK(frame_id, size, data)
        stamp_ns = self._now_ns()
        if self._waiting or self._dropped:
            self._send_behind(packet, stamp_ns)
            return stamp_ns
        try:
            self._write(self._out, packet)
        except OSError as failure:
            self._refused(failure)
            self._waiting.append((stamp_ns, packet))
        else:
            self.counters.sent += 1
        return stamp_ns

    def _send_behind(self, packet: bytes, stamp_ns: int) -> None:
        """Send when frames wait, or when some had to give way and nobody was told."""
        self.flush()
        if self._waiting or not self._handed_over(packet):
            self._waiting.append((stamp_ns, packet))
            self._drop_oldest_above(TRANSMIT_QUEUE_FRAMES)
        if self._dropped:
            raise self._full_error()

    def _full_error(self) -> DeviceError:
        dropped, self._dropped = self._dropped, 0
        return DeviceError(
            f"channel {self.name}: the transmit queue is full, {dropped} waiting frames were dropped",
            hint="no other node acknowledges, the bus is off, or more is sent than the bit rate carries",
        )

    def _checked_packet(self, frame_id: int, data: bytes, *, extended: bool, fd: bool, error: bool) -> bytes:
        """Of a frame that is not the usual one: 11 bits, at most 8 bytes."""
        check_frame(self.name, frame_id, data, extended=extended or error, fd=fd, fd_channel=self._settings.fd)
        if error and not self._settings.channel.startswith(("vcan", "vxcan")):
            raise DeviceError(
                f"channel {self.name}: {self._settings.channel} cannot simulate an error frame",
                hint="only the virtual interfaces vcan and vxcan can",
            )
        return pack_frame(frame_id, data, extended=extended, fd=fd, error=error)

    def flush(self) -> int:
        """Hand waiting frames to the kernel, drop those that are too old; how many still wait."""
        self._drop_older_than(self._now_ns() - TRANSMIT_AGE_MAX_NS)
        while self._waiting and self._handed_over(self._waiting[0][1]):
            self._waiting.popleft()
        return len(self._waiting)

    def _handed_over(self, packet: bytes) -> bool:
        """False when the kernel has no room now."""
        try:
            self._write(self._out, packet)
        except OSError as failure:
            self._refused(failure)
            return False
        self.counters.sent += 1
        return True

    def _refused(self, failure: OSError) -> None:
        """DeviceError, unless the kernel has no room now."""
        if failure.errno in (errno.EAGAIN, errno.ENOBUFS):
            return
        self.counters.send_failures += 1
        raise gone_error(self._settings, failure, "cannot send") from failure

    def _drop_older_than(self, oldest_ns: int) -> None:
        while self._waiting and self._waiting[0][0] < oldest_ns:
            self._drop_oldest()

    def _drop_oldest_above(self, limit: int) -> None:
        while len(self._waiting) > limit:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._waiting.popleft()
        self.counters.send_dropped += 1
        self._dropped += 1

    def receive_batch(self, limit: int = 256) -> list[CanFrame]:
        """See `CanChannel.receive_batch`. Error frames of the controller are among them (`decode_error_frame`).

        Most often there is one classic frame of somebody else, or none: for that as little is called as can be.
        """
        if self._waiting:
            self.flush()
        asked = BATCH_FRAMES
        if limit < BATCH_FRAMES:
            asked = max(limit, 0)
        latest_ns = self._now_ns()
        offset_ns = latest_ns - self._wall_ns()
        count = self._receive(self._descriptor, self._where, asked, MSG_DONTWAIT, None)
        if count != 1 or asked == 1 or not self._classic:
            return self._received(count, limit, offset_ns, latest_ns)
        flags, seconds, nanoseconds, frame_id, size, data = self._first(self._memory)
        if frame_id > STANDARD_ID_MAX or size != CLASSIC_BYTES or flags & TELLING or not seconds:
            return self._received(count, limit, offset_ns, latest_ns)
        stamp_ns = seconds * NS_PER_S + nanoseconds + offset_ns
        if stamp_ns > latest_ns:
            stamp_ns = latest_ns
        elif stamp_ns < self._reached_ns:
            stamp_ns = self._reached_ns
        self._reached_ns = latest_ns  # the channel is empty: what comes next arrived after this began
        self.counters.received += 1
        return [CanFrame(self.name, frame_id, data, stamp_ns)]

    def _received(self, count: int, limit: int, offset_ns: int, latest_ns: int) -> list[CanFrame]:
        """What the first system call brought, and what more there is. count: what it returned."""
        if self._descriptor < 0:
            raise self._deaf_error()
        frames: list[CanFrame] = []
        asked = min(limit, BATCH_FRAMES)
        try:
            count = self._batch.took(count)
            while count:
                self._keep_read(frames, offset_ns, latest_ns)
                if count < asked or len(frames) >= limit:
                    break
                asked = min(limit - len(frames), BATCH_FRAMES)
                count = self._batch.read(self._descriptor, asked)
        except OSError as failure:
            raise gone_error(self._settings, failure, "is gone") from failure
        if count < asked:
            self._reached_ns = latest_ns
        self.counters.received += len(frames)
        return frames

    def _keep_read(self, frames: list[CanFrame], offset_ns: int, latest_ns: int) -> None:
        """Put what was read into `frames`, or among those confirmed."""
        name, keep = self.name, frames.append
        every_flag, stamp_ns = 0, self._reached_ns
        for (flags, length), (seconds, nanoseconds, frame_id, size, data) in self._batch.frames():
            every_flag |= flags
            moved_ns = (seconds * NS_PER_S + nanoseconds or self._wall_ns()) + offset_ns
            if moved_ns > latest_ns:
                moved_ns = latest_ns
            if moved_ns > stamp_ns:
                stamp_ns = moved_ns
            if frame_id <= STANDARD_ID_MAX and length == CLASSIC_SIZE:
                frame = CanFrame(name, frame_id, data[:size], stamp_ns)
            elif frame_id & REMOTE_FLAG:
                self.counters.ignored += 1
                continue
            else:
                frame = CanFrame(
                    name,
                    frame_id & EXTENDED_ID_MAX,
                    data[:size],
                    stamp_ns,
                    frame_id >= EXTENDED_FLAG,
                    length == FD.size,
                    frame_id & ERROR_FLAG != 0,
                )
            if flags & MSG_CONFIRM:
                self.counters.confirmed += 1
                self._confirmed.append(frame)
            else:
                keep(frame)
        self._reached_ns = stamp_ns
        if every_flag & MSG_CTRUNC and self._socket is not None:
            self.counters.receive_dropped = dropped_of(self._socket)

    def take_confirmed(self) -> list[CanFrame]:
        """Our own frames that were on the bus, as seen by `receive_batch`, oldest first, stamped when they were sent.

        On hardware the controller's driver echoes a frame after a receiver acknowledged it; `vcan` does at once.
        """
        if not self._confirmed:
            return []
        confirmed = list(self._confirmed)
        self._confirmed.clear()
        return confirmed

    def _closed(self, descriptor: int, packet: bytes) -> int:
        raise DeviceError(f"channel {self.name} is closed")

    def _deaf_error(self) -> DeviceError:
        what = "is closed" if self._socket is None else "was opened for sending only"
        return DeviceError(f"channel {self.name} {what}")

    def fileno(self) -> int:
        """See `CanChannel.fileno`."""
        return self._descriptor

    def close(self) -> None:
        """See `CanChannel.close`. Frames that still wait are dropped and counted."""
        self._drop_oldest_above(0)
        if self._socket is not None:
            self._socket.close()
        self._socket, self._descriptor, self._write = None, -1, self._closed
