"""The bench bus: CAN frames as UDP multicast on the loopback interface, in the format of python-can's `udp_multicast`.

Tools that know python-can can listen to it. The sockets are ours, because python-can's own (4.6) cannot serve a bench:
it joins the group on the interface of the default route, so it fails on a laptop without network and otherwise puts
simulated frames onto the local network and takes frames from there; it hands a sender its own frames; and it keeps the
system's receive buffer, which holds about 250 frames and drops the rest without a word. This one stays on loopback in
both directions, tells own frames by their source address, holds about 10 000 frames, and counts what the kernel drops.
"""

from __future__ import annotations

import socket
import struct
from typing import Annotated, Any

import msgspec

from cardan.drivers.can.channel import STANDARD_ID_MAX, ChannelCounters, ReceptionClock, check_frame
from cardan.drivers.can.receive_buffer import raise_receive_buffer
from cardan.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

LOOPBACK = "127.0.0.1"
DATAGRAM_MAX_BYTES = 512
"""A CAN FD frame with 64 bytes is 220 bytes long in this format."""

# Linux socket options that Python's socket module does not name (asm-generic/socket.h, linux/in.h).
IP_MULTICAST_ALL = 49
SO_TIMESTAMPNS = 35
SO_MEMINFO = 55
MEMINFO_WORDS = 9
MEMINFO_DROPS = 8
"""Place of the count of dropped datagrams in SO_MEMINFO (linux/sock_diag.h)."""
TIMESPEC = struct.Struct("@ll")
ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size)


class WireFrame(msgspec.Struct):
    """One datagram: the msgpack map that python-can writes, with the limits that CAN sets."""

    timestamp: float
    arbitration_id: Annotated[int, msgspec.Meta(ge=0, le=0x1FFF_FFFF)]
    is_extended_id: bool
    is_remote_frame: bool
    is_error_frame: bool
    channel: Any
    dlc: int
    data: Annotated[bytes, msgspec.Meta(max_length=64)]
    is_fd: bool
    bitrate_switch: bool
    error_state_indicator: bool


class LoopbackChannel:
    """One channel of the bench bus: all sockets on the same group and port of this computer hear each other.

    listen: without it the channel only sends, and no receive buffer fills up behind its back.
    """

    def __init__(self, settings: CanChannelSettings, clock: Clock | None = None, *, listen: bool = True) -> None:
        self.name = settings.name
        self.counters = ChannelCounters()
        self._fd_channel = settings.fd
        self._clock = clock or MonotonicClock()
        self._reception = ReceptionClock(self._clock.now_ns())
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(WireFrame)
        address = _checked_address(settings)
        self._sender: socket.socket | None = None
        self._receiver: socket.socket | None = None
        try:
            self._sender = _open_sender(address)
            self._own_address = self._sender.getsockname()
            self._receiver = _open_receiver(address) if listen else None
        except OSError as error:
            self.close()
            raise DeviceError(
                f"cannot open channel {self.name} at udp {address[0]}:{address[1]}: {error.strerror}",
                hint="is the loopback interface up? `ip link set lo up`",
            ) from error

    @property
    def receive_buffer_bytes(self) -> int:
        """What the kernel granted, in its own accounting; 0 without `listen`."""
        return self._receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) if self._receiver else 0

    def send(self, frame_id: int, data: bytes, *, extended: bool = False, fd: bool = False, error: bool = False) -> int:
        """See `CanChannel.send`. An error frame is carried as one."""
        check_frame(self.name, frame_id, data, extended=extended or error, fd=fd, fd_channel=self._fd_channel)
        wire = WireFrame(0.0, frame_id, extended, False, error, None, len(data), data, fd, fd, False)
        stamp_ns = self._clock.now_ns()
        try:
            self._require(self._sender).send(self._encoder.encode(wire))
        except BlockingIOError as full:
            self.counters.send_dropped += 1
            raise DeviceError(f"channel {self.name}: the send buffer is full") from full
        except OSError as failure:
            self.counters.send_failures += 1
            raise DeviceError(f"channel {self.name}: cannot send: {failure.strerror}") from failure
        self.counters.sent += 1
        return stamp_ns

    def receive_batch(self, limit: int = 256) -> list[CanFrame]:
        """See `CanChannel.receive_batch`."""
        receiver = self._require(self._receiver)
        self._reception.begin(self._clock.now_ns(), self._clock.wall_ns())
        frames: list[CanFrame] = []
        while len(frames) < limit:
            try:
                datagram, ancillary, _, sender = receiver.recvmsg(DATAGRAM_MAX_BYTES, ANCILLARY_BYTES)
            except BlockingIOError:
                self._reception.drained()
                break
            except OSError as failure:
                raise DeviceError(f"channel {self.name} is gone: {failure.strerror}") from failure
            if sender != self._own_address:
                self._decode(datagram, self._stamp_ns(ancillary), frames)
        self.counters.received += len(frames)
        self.counters.receive_dropped = _kernel_drops(receiver)
        return frames

    def _stamp_ns(self, ancillary: list[tuple[int, int, bytes]]) -> int:
        seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
        return self._reception.stamp_ns(seconds * NS_PER_S + nanoseconds)

    def _decode(self, datagram: bytes, stamp_ns: int, frames: list[CanFrame]) -> None:
        wire = self._wire_frame_or_none(datagram)
        if wire is None:
            self.counters.malformed += 1
            return
        if wire.is_remote_frame or (wire.is_fd and not self._fd_channel):
            self.counters.ignored += 1
            return
        frames.append(
            CanFrame(
                self.name,
                wire.arbitration_id,
                wire.data,
                stamp_ns,
                wire.is_extended_id,
                wire.is_fd,
                wire.is_error_frame,
            )
        )

    def _wire_frame_or_none(self, datagram: bytes) -> WireFrame | None:
        try:
            wire = self._decoder.decode(datagram)
        except msgspec.MsgspecError:
            return None
        long_id = wire.is_extended_id or wire.is_error_frame
        fits = (long_id or wire.arbitration_id <= STANDARD_ID_MAX) and (wire.is_fd or len(wire.data) <= 8)
        return wire if fits else None

    def _require(self, maybe_socket: socket.socket | None) -> socket.socket:
        if maybe_socket is None:
            raise DeviceError(f"channel {self.name} is closed, or was opened for sending only")
        return maybe_socket

    def fileno(self) -> int:
        """See `CanChannel.fileno`."""
        return self._receiver.fileno() if self._receiver else -1

    def close(self) -> None:
        """See `CanChannel.close`."""
        for open_socket in (self._sender, self._receiver):
            if open_socket is not None:
                open_socket.close()
        self._sender = self._receiver = None


def _checked_address(settings: CanChannelSettings) -> tuple[str, int]:
    group, port = settings.channel, settings.port
    try:
        is_multicast = 224 <= socket.inet_aton(group)[0] <= 239
    except OSError:
        is_multicast = False
    if not is_multicast:
        raise ConfigError(
            f'channel {settings.name}: "{group}" is no IPv4 multicast group',
            hint=f'set channel = "239.74.163.2" in [can.{settings.name}] of the profile',
        )
    if not 0 < port < 65536:
        raise ConfigError(
            f"channel {settings.name}: UDP port {port} is not in 1..65535",
            hint="port = 0 in a profile is replaced by a free port when a run starts; outside of a run give a port",
        )
    return group, port


def _open_sender(address: tuple[str, int]) -> socket.socket:
    """A socket with a port of its own, so that receivers can tell who sent a frame."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        sender.bind((LOOPBACK, 0))
        sender.connect(address)
    except OSError:
        sender.close()
        raise
    return sender


def _open_receiver(address: tuple[str, int]) -> socket.socket:
    """A socket that hears the group on the loopback interface and nothing else."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        receiver.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        raise_receive_buffer(receiver)
        receiver.bind(address)
        membership = socket.inet_aton(address[0]) + socket.inet_aton(LOOPBACK)
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except OSError:
        receiver.close()
        raise
    return receiver


def _kernel_drops(receiver: socket.socket) -> int:
    memory = receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO_WORDS * 4)
    return int(struct.unpack(f"@{MEMINFO_WORDS}I", memory)[MEMINFO_DROPS])
