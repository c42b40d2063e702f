"""The parts that need no CAN in the kernel, over a pair of UNIX sockets; tests/can_vm has the rest."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator

import can
import msgspec
import pytest
from can.interfaces.socketcan.socketcan import build_can_frame
from hypothesis import given
from hypothesis import strategies as st

from cardan.drivers.can.channel import FD_LENGTHS
from cardan.drivers.can.frame_batch import BATCH_FRAMES
from cardan.drivers.can.socketcan import (
    TRANSMIT_AGE_MAX_NS,
    TRANSMIT_QUEUE_FRAMES,
    SocketCanChannel,
    pack_frame,
)
from cardan.drivers.can.socketcan_open import (
    SO_TIMESTAMPNS,
    check_interface,
    gone_error,
    open_can_socket,
    opening_error,
    up_command,
)
from cardan.runtime.clock import FakeClock, MonotonicClock
from cardan.runtime.errors import DeviceError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

DLC_COPY = 7
"""python-can writes the length twice; the kernel reads the second one (len8_dlc) only above 8."""


def settings(interface: str = "can0", *, fd: bool = True) -> CanChannelSettings:
    return CanChannelSettings(name="vehicle", interface="socketcan", channel=interface, fd=fd)


class Wire:
    """Hands frames over, but fails as often as it is told."""

    def __init__(self) -> None:
        self.failures = 0
        self.failure = errno.ENOBUFS

    def write(self, descriptor: int, data: bytes) -> int:
        if self.failures:
            self.failures -= 1
            raise OSError(self.failure, "No buffer space available")
        return os.write(descriptor, data)


class Ends:
    """A sending and a receiving channel with the sockets between them."""

    def __init__(self) -> None:
        self.one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.wire, self.clock = Wire(), FakeClock()
        self.sender = SocketCanChannel(
            settings("vcan0"), self.clock, listen=False, open_socket=lambda *_: self.one, write=self.wire.write
        )
        self.receiver = SocketCanChannel(settings("vcan0"), self.clock, open_socket=lambda *_: two)

    def ids(self) -> list[int]:
        return [frame.id for frame in self.receiver.receive_batch(10_000)]


@pytest.fixture
def ends() -> Iterator[Ends]:
    both = Ends()
    yield both
    both.sender.close()
    both.receiver.close()


# ------------------------------------------------------------------------------------------------------------- packing

IDS = st.one_of(st.tuples(st.integers(0, 0x7FF), st.just(False)), st.tuples(st.integers(0, 0x1FFF_FFFF), st.just(True)))
FD_DATA = st.sampled_from(sorted(FD_LENGTHS)).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def without_dlc_copy(packet: bytes) -> bytes:
    return packet[:DLC_COPY] + b"\0" + packet[DLC_COPY + 1 :]


@given(IDS, st.binary(max_size=8))
def test_a_classic_frame_is_packed_as_python_can_packs_it(identity: tuple[int, bool], data: bytes) -> None:
    frame_id, extended = identity
    message = can.Message(arbitration_id=frame_id, data=data, is_extended_id=extended)
    assert pack_frame(frame_id, data, extended=extended) == without_dlc_copy(build_can_frame(message))


@given(IDS, FD_DATA)
def test_an_fd_frame_is_packed_as_python_can_packs_it(identity: tuple[int, bool], data: bytes) -> None:
    frame_id, extended = identity
    message = can.Message(arbitration_id=frame_id, data=data, is_extended_id=extended, is_fd=True, bitrate_switch=True)
    assert pack_frame(frame_id, data, extended=extended, fd=True) == without_dlc_copy(build_can_frame(message))


@given(st.lists(st.tuples(IDS, st.one_of(st.binary(max_size=8), FD_DATA)), max_size=2 * BATCH_FRAMES + 3))
def test_what_one_channel_sends_another_receives_unchanged(sent: list[tuple[tuple[int, bool], bytes]]) -> None:
    ends = Ends()
    received: list[CanFrame] = []
    for (frame_id, extended), data in sent:
        ends.sender.send(frame_id, data, extended=extended, fd=len(data) > 8)
        if len(received) % 7 == 0:  # some one by one, some as a batch
            received += ends.receiver.receive_batch()
    received += ends.receiver.receive_batch()
    now_ns = ends.clock.now_ns()
    assert received == [
        CanFrame("vehicle", frame_id, data, now_ns, extended, len(data) > 8) for (frame_id, extended), data in sent
    ]
    ends.sender.close()
    ends.receiver.close()


# ----------------------------------------------------------------------------------------------------------- receiving


def raw(ends: Ends, frame_id: int, data: bytes = b"") -> None:
    ends.one.send(frame_id.to_bytes(4, "little") + bytes([len(data), 0, 0, 0]) + data.ljust(8, b"\0"))


def test_flag_bits_tell_extended_and_error_frames(ends: Ends) -> None:
    raw(ends, 0x98DB33F1, b"\x01")
    raw(ends, 0x20000040, bytes(8))
    frames = ends.receiver.receive_batch()
    assert [(f.id, f.extended, f.error) for f in frames] == [(0x18DB33F1, True, False), (0x40, False, True)]


def test_remote_frames_are_counted_as_ignored(ends: Ends) -> None:
    raw(ends, 0x40000001)
    raw(ends, 0x2)
    assert ends.ids() == [2]
    assert (ends.receiver.counters.ignored, ends.receiver.counters.received) == (1, 1)


def test_a_limit_is_kept_over_several_system_calls(ends: Ends) -> None:
    """More frames than one system call brings, in two portions, while the kernel's buffer for them is small."""
    got: list[int] = []
    for start in range(0, 90, 9):
        for number in range(start, start + 9):
            raw(ends, number)
        got += [frame.id for frame in ends.receiver.receive_batch(limit=4)]
        got += ends.ids()
    assert got == list(range(90))


def stamped() -> tuple[socket.socket, SocketCanChannel]:
    """A sending socket, and a receiving channel of classic frames whose kernel stamps them, on the computer's clock."""
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    two.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return one, SocketCanChannel(settings("vcan0", fd=False), open_socket=lambda *_: two)


@given(st.lists(st.tuples(IDS, st.binary(max_size=8), st.booleans()), max_size=12))
def test_frames_that_come_alone_are_those_that_come_together(sent: list[tuple[tuple[int, bool], bytes, bool]]) -> None:
    """One classic frame of eight bytes takes a shorter way than all others."""
    one, receiver = stamped()
    before_ns = MonotonicClock().now_ns()
    alone: list[CanFrame] = []
    for (frame_id, extended), data, error in sent:
        one.send(pack_frame(frame_id, data, extended=extended, error=error))
        alone += receiver.receive_batch()
    for (frame_id, extended), data, error in sent:
        one.send(pack_frame(frame_id, data, extended=extended, error=error))
    together = receiver.receive_batch()
    stamps = [before_ns, *(frame.stamp_ns for frame in [*alone, *together]), MonotonicClock().now_ns()]
    one.close()
    receiver.close()
    assert [msgspec.structs.replace(frame, stamp_ns=0) for frame in alone] == [
        msgspec.structs.replace(frame, stamp_ns=0) for frame in together
    ]
    assert [(frame.id, frame.data, frame.error) for frame in alone] == [
        (frame_id, data, error) for (frame_id, _), data, error in sent
    ]
    assert stamps == sorted(stamps)
    assert receiver.counters.received == 2 * len(sent)


def test_a_stamp_that_the_wall_clock_moved_is_moved_back_into_its_window() -> None:
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    two.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    clock = FakeClock()  # its wall time is another one
    receiver = SocketCanChannel(settings("vcan0", fd=False), clock, open_socket=lambda *_: two)
    stamps = []
    for jump_s in (0.0, 4e9):
        clock.jump_wall_s(jump_s)
        clock.advance_s(0.01)
        one.send(pack_frame(1, bytes(8)))
        stamps += [frame.stamp_ns - clock.now_ns() for frame in receiver.receive_batch()]
    assert stamps == [0, -10_000_000]
    one.close()
    receiver.close()


@pytest.mark.parametrize("limit", [-1, 0, 1, 2])
def test_no_more_frames_come_than_are_asked_for(limit: int) -> None:
    one, receiver = stamped()
    for _ in range(3):
        one.send(pack_frame(1, bytes(8)))
    assert len(receiver.receive_batch(limit)) == max(limit, 0)
    assert len(receiver.receive_batch()) == 3 - max(limit, 0)
    one.close()
    receiver.close()


def test_an_unread_socket_is_readable_and_a_read_one_is_not(ends: Ends) -> None:
    import select

    raw(ends, 1)
    assert select.select([ends.receiver.fileno()], [], [], 0)[0]
    ends.ids()
    assert not select.select([ends.receiver.fileno()], [], [], 0)[0]


def test_a_channel_for_sending_only_has_no_descriptor_and_does_not_receive(ends: Ends) -> None:
    assert ends.sender.fileno() == -1
    with pytest.raises(DeviceError, match="sending only"):
        ends.sender.receive_batch()


# ------------------------------------------------------------------------------------------------------------- sending


def test_frames_that_find_no_room_wait_and_go_out_in_order(ends: Ends) -> None:
    ends.wire.failures = 3
    for number in range(3):
        ends.sender.send(number, b"")
    assert (ends.sender.waiting, ends.sender.counters.sent) == (3, 0)
    ends.sender.send(3, b"")
    assert ends.ids() == [0, 1, 2, 3]
    assert (ends.sender.counters.sent, ends.sender.counters.send_dropped) == (4, 0)


def test_a_full_socket_buffer_is_waited_for_like_a_full_queue(ends: Ends) -> None:
    count = 0
    while not ends.sender.waiting:
        ends.sender.send(count, b"")
        count += 1
    assert ends.ids() == list(range(count - 1))
    assert ends.sender.flush() == 0
    assert ends.ids() == [count - 1]


def test_the_oldest_frame_gives_way_when_too_many_wait(ends: Ends) -> None:
    ends.wire.failures = 10_000
    for number in range(TRANSMIT_QUEUE_FRAMES):
        ends.sender.send(number, b"")
    for number in range(TRANSMIT_QUEUE_FRAMES, TRANSMIT_QUEUE_FRAMES + 5):
        with pytest.raises(DeviceError, match="the transmit queue is full, 1 waiting frames were dropped"):
            ends.sender.send(number, b"")
    ends.wire.failures = 0
    assert (ends.sender.waiting, ends.sender.counters.send_dropped) == (TRANSMIT_QUEUE_FRAMES, 5)
    received: list[int] = []
    while ends.sender.flush():
        received += ends.ids()
    assert received + ends.ids() == list(range(5, TRANSMIT_QUEUE_FRAMES + 5))


def test_a_frame_that_waited_three_control_periods_is_not_sent_any_more(ends: Ends) -> None:
    ends.wire.failures = 2
    ends.sender.send(1, b"")
    ends.clock.advance_s((TRANSMIT_AGE_MAX_NS + 1) / 1e9)
    with pytest.raises(DeviceError, match="1 waiting frames were dropped"):
        ends.sender.send(2, b"")
    assert ends.sender.flush() == 0
    assert ends.ids() == [2]
    assert ends.sender.counters.send_dropped == 1


def test_a_sender_that_also_receives_learns_that_the_bus_takes_nothing_within_four_periods(ends: Ends) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    wire = Wire()
    bridge = SocketCanChannel(settings(), ends.clock, open_socket=lambda *_: one, write=wire.write)
    wire.failures = 10_000
    with pytest.raises(DeviceError, match="the transmit queue is full"):
        for _ in range(5):
            bridge.receive_batch()
            bridge.send(1, b"")
            ends.clock.advance_s(0.01)
    bridge.close()
    other.close()


def test_frames_that_still_wait_at_the_close_are_counted_as_dropped(ends: Ends) -> None:
    ends.wire.failures = 9
    ends.sender.send(1, b"")
    ends.sender.close()
    ends.sender.close()
    assert ends.sender.counters.send_dropped == 1
    with pytest.raises(DeviceError, match="channel vehicle is closed"):
        ends.sender.send(1, b"")


def test_an_interface_that_went_down_is_an_error_with_the_command(ends: Ends) -> None:
    ends.wire.failures, ends.wire.failure = 1, errno.ENETDOWN
    with pytest.raises(DeviceError) as error:
        ends.sender.send(1, b"")
    assert error.value.hint == "the interface is down: `ip link set vcan0 mtu 72 up`"
    assert (ends.sender.counters.send_failures, ends.sender.waiting) == (1, 0)


@pytest.mark.parametrize(("frame_id", "size", "fd"), [(0x800, 0, False), (-1, 0, False), (1, 9, False), (1, 13, True)])
def test_impossible_frames_are_refused(ends: Ends, frame_id: int, size: int, fd: bool) -> None:
    with pytest.raises(DeviceError):
        ends.sender.send(frame_id, bytes(size), fd=fd)
    assert ends.ids() == []


def test_an_error_frame_is_never_given_to_hardware(ends: Ends) -> None:
    ends.sender.send(0x40, bytes(8), error=True)
    assert [frame.error for frame in ends.receiver.receive_batch()] == [True]
    hardware = SocketCanChannel(settings("can0"), open_socket=lambda *_: ends.one)
    with pytest.raises(DeviceError, match="can0 cannot simulate an error frame"):
        hardware.send(0x40, bytes(8), error=True)
    assert ends.ids() == []


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("number", "interface", "text", "hint"),
    [
        (errno.EAFNOSUPPORT, "can0", "this kernel has no SocketCAN", "modprobe can_raw"),
        (errno.EPROTONOSUPPORT, "can0", "this kernel has no SocketCAN", "modprobe can_raw"),
        (errno.ENODEV, "can0", "no such CAN interface", "is the adapter plugged in"),
        (errno.ENODEV, "vcan0", "no such CAN interface", "ip link add vcan0 type vcan"),
        (errno.EPERM, "can0", "not permitted", "RestrictAddressFamilies"),
        (errno.EACCES, "can0", "not permitted", "RestrictAddressFamilies"),
        (errno.EMFILE, "can0", "cannot open channel vehicle (socketcan can0)", "ip -details link show can0"),
    ],
)
def test_a_socket_that_cannot_be_opened_says_why_and_what_to_try(
    number: int, interface: str, text: str, hint: str
) -> None:
    error = opening_error(settings(interface), OSError(number, "why"))
    assert text in error.message
    assert hint in (error.hint or "")


def test_an_interface_that_is_down_or_without_fd_is_refused_with_the_command() -> None:
    check_interface(settings(), flags=0x1, mtu=72)
    check_interface(settings(fd=False), flags=0x1, mtu=16)
    with pytest.raises(DeviceError, match="the interface is down") as down:
        check_interface(settings(fd=False), flags=0x80, mtu=16)
    assert down.value.hint == "`ip link set can0 up type can bitrate 500000`"
    with pytest.raises(DeviceError, match="carries no CAN FD") as classic:
        check_interface(settings(), flags=0x1, mtu=16)
    assert "bitrate 500000 dbitrate 2000000 fd on" in (classic.value.hint or "")


def test_the_command_for_a_virtual_interface_sets_no_bit_rate() -> None:
    assert up_command(settings("vcan0", fd=False)) == "ip link set vcan0 up"


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENETDOWN, "is down"), (errno.ENODEV, "unplugged"), (errno.EIO, "tells its state")]
)
def test_a_channel_that_fails_later_says_why(number: int, hint: str) -> None:
    assert hint in (gone_error(settings(), OSError(number, "why"), "is gone").hint or "")


def has_socketcan() -> bool:
    try:
        socket.socket(29, socket.SOCK_RAW, 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("interface", ["nocan7", "", "a-name-that-is-too-long"])
def test_an_interface_that_is_not_there_cannot_be_opened_on_any_kernel(interface: str) -> None:
    opener: Callable[[CanChannelSettings, bool], socket.socket] = open_can_socket
    with pytest.raises(DeviceError, match="cannot open channel vehicle") as error:
        opener(settings(interface), True)
    assert error.value.hint
    if interface == "nocan7" and not has_socketcan():
        assert "udp_multicast" in error.value.hint
