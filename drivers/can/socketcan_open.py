"""Open a SocketCAN socket, and say what to do when that does not work."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct

from cardan.drivers.can.link_state import CANFD_MTU
from cardan.drivers.can.receive_buffer import raise_receive_buffer
from cardan.runtime.errors import DeviceError
from cardan.runtime.profile import CanChannelSettings

# linux/can.h, linux/can/raw.h; socket.AF_CAN and its options are absent where Python was built without them.
AF_CAN = 29
CAN_RAW = 1
SOL_CAN_RAW = 101
CAN_RAW_FILTER = 1
CAN_RAW_ERR_FILTER = 2
CAN_RAW_RECV_OWN_MSGS = 4
CAN_RAW_FD_FRAMES = 5
EVERY_ERROR_CLASS = 0x1FFF_FFFF
# asm-generic/socket.h
SO_TIMESTAMPNS = 35
SO_RXQ_OVFL = 40
SO_MEMINFO = 55
# linux/sock_diag.h: sk_meminfo, an array of 32-bit numbers
MEMINFO = struct.Struct("=9I")
MEMINFO_DROPS = 8
# linux/sockios.h, linux/if.h
SIOCGIFFLAGS = 0x8913
SIOCGIFMTU = 0x8921
INTERFACE_REQUEST = struct.Struct("@16si20x")
INTERFACE_UP = 0x1


def open_can_socket(settings: CanChannelSettings, listen: bool) -> socket.socket:
    """A raw CAN socket, bound to the interface, not blocking. DeviceError says what is wrong and what helps."""
    opened: socket.socket | None = None
    try:
        if not settings.channel:  # it would mean all interfaces
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        opened = socket.socket(AF_CAN, socket.SOCK_RAW | socket.SOCK_NONBLOCK, CAN_RAW)
        _set_options(opened, settings, listen)
        opened.bind((settings.channel,))
        check_interface(settings, _flags(opened, settings.channel), _mtu(opened, settings.channel))
    except (OSError, DeviceError) as failure:
        if opened is not None:
            opened.close()
        if isinstance(failure, DeviceError):
            raise
        raise opening_error(settings, failure) from failure
    return opened


def _set_options(opened: socket.socket, settings: CanChannelSettings, listen: bool) -> None:
    """Before bind, so that no frame arrives under other options."""
    if settings.fd:
        opened.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1)
    if not listen:
        opened.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, b"")
        return
    opened.setsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, EVERY_ERROR_CLASS)
    opened.setsockopt(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, 1)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    raise_receive_buffer(opened)


def dropped_of(opened: socket.socket) -> int:
    """Frames that the kernel dropped because the receive buffer of this socket was full, since it was opened."""
    return int(MEMINFO.unpack(opened.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[MEMINFO_DROPS])


def _flags(opened: socket.socket, interface: str) -> int:
    """16 bits of a union; the bits above them are not ours."""
    return _request(opened, interface, SIOCGIFFLAGS) & 0xFFFF


def _mtu(opened: socket.socket, interface: str) -> int:
    return _request(opened, interface, SIOCGIFMTU)


def _request(opened: socket.socket, interface: str, request: int) -> int:
    answer = fcntl.ioctl(opened, request, INTERFACE_REQUEST.pack(interface.encode(), 0))
    return int(INTERFACE_REQUEST.unpack(answer)[1])


def check_interface(settings: CanChannelSettings, flags: int, mtu: int) -> None:
    """DeviceError when the interface is down, or is not configured for the CAN FD that the profile asks for."""
    if settings.fd and mtu != CANFD_MTU:
        raise DeviceError(
            f"cannot open channel {settings.name} (socketcan {settings.channel}): the interface carries no CAN FD",
            hint=f"set fd = false in [can.{settings.name}] of the profile, or configure it: `{up_command(settings)}`",
        )
    if not flags & INTERFACE_UP:
        raise DeviceError(
            f"cannot open channel {settings.name} (socketcan {settings.channel}): the interface is down",
            hint=f"`{up_command(settings)}`",
        )


def up_command(settings: CanChannelSettings) -> str:
    """What an administrator types to bring the interface up as the profile wants it."""
    interface = settings.channel
    if interface.startswith(("vcan", "vxcan")):
        return f"ip link set {interface} mtu {CANFD_MTU} up" if settings.fd else f"ip link set {interface} up"
    fd = " dbitrate 2000000 fd on" if settings.fd else ""
    return f"ip link set {interface} up type can bitrate {settings.bitrate}{fd}"


def opening_error(settings: CanChannelSettings, failure: OSError) -> DeviceError:
    """Why the socket could not be opened, and what to try."""
    where = f"cannot open channel {settings.name} (socketcan {settings.channel})"
    if failure.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
        return DeviceError(
            f"{where}: this kernel has no SocketCAN",
            hint='`modprobe can_raw`; for a bench without CAN hardware use interface = "udp_multicast"',
        )
    if failure.errno in (errno.ENODEV, errno.ENXIO):
        virtual = settings.channel.startswith(("vcan", "vxcan"))
        make = (
            f"`ip link add {settings.channel} type vcan`" if virtual else "is the adapter plugged in, its driver there?"
        )
        return DeviceError(f"{where}: there is no such CAN interface", hint=f"{make} `ip -br link show` lists them")
    if failure.errno in (errno.EPERM, errno.EACCES):
        return DeviceError(
            f"{where}: not permitted",
            hint="a systemd unit needs RestrictAddressFamilies=AF_CAN, a container the interface inside",
        )
    return DeviceError(
        f"{where}: {failure.strerror or failure}", hint=f"`ip -details link show {settings.channel}` tells its state"
    )


def gone_error(settings: CanChannelSettings, failure: OSError, what: str) -> DeviceError:
    """Why an open channel failed, and what to try. what: `is gone`, `cannot send`."""
    text = f"channel {settings.name} {what}: {failure.strerror or failure}"
    if failure.errno == errno.ENETDOWN:
        return DeviceError(text, hint=f"the interface is down: `{up_command(settings)}`")
    if failure.errno in (errno.ENODEV, errno.ENXIO):
        return DeviceError(text, hint=f"was the adapter of {settings.channel} unplugged? see `dmesg`")
    return DeviceError(text, hint=f"`ip -details link show {settings.channel}` tells its state")
