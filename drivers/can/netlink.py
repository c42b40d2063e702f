"""Ask the kernel about network interfaces: rtnetlink's RTM_GETLINK, as far as CAN needs it (linux/rtnetlink.h).

A request is answered within microseconds by the kernel itself and needs no privilege. What comes back is a row of
messages, each a header and a tree of attributes: length (2 bytes), type (2), value, filled up to 4 bytes.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator

from cardan.runtime.errors import DeviceError

ANSWER_LIMIT_S = 2.0
ANSWER_BYTES = 1 << 16
"""The kernel fills at most 32 KiB at once."""

MESSAGE = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, hardware type, index, flags, change mask."""
ATTRIBUTE = struct.Struct("=HH")
TYPE_MASK = 0x3FFF
"""Without the flags "nested" and "network byte order"."""

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK = 16, 18
REQUEST, DUMP = 0x001, 0x300
IFLA_IFNAME = 3

Attributes = dict[int, bytes]


def link_messages(name: str = "", limit_s: float = ANSWER_LIMIT_S) -> list[bytes]:
    """What the kernel answers about one interface, or about all: the bodies of its RTM_NEWLINK messages.

    An interface that is not there is an empty answer. DeviceError when the kernel refuses, or is silent for `limit_s`.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asked:
            asked.settimeout(limit_s)
            asked.send(link_request(name))
            return list(_answers(asked, one=bool(name)))
    except OSError as failure:
        if failure.errno == errno.ENODEV:
            return []
        raise DeviceError(
            f"the kernel does not tell the state of the CAN interfaces: {failure}",
            hint="a systemd unit needs RestrictAddressFamilies=AF_NETLINK",
        ) from failure


def link_request(name: str = "") -> bytes:
    """The request for one interface, or for all of them."""
    body = LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    if name:
        value = name.encode()[:15] + b"\0"
        body += ATTRIBUTE.pack(ATTRIBUTE.size + len(value), IFLA_IFNAME) + value + bytes(-len(value) % 4)
    flags = REQUEST if name else REQUEST | DUMP
    return MESSAGE.pack(MESSAGE.size + len(body), RTM_GETLINK, flags, 1, 0) + body


def _answers(asked: socket.socket, *, one: bool) -> Iterator[bytes]:
    while True:
        for kind, body in messages(asked.recv(ANSWER_BYTES)):
            if kind == NLMSG_DONE:
                return
            if kind == NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", body)
                raise OSError(-code, os.strerror(-code))
            if kind == RTM_NEWLINK:
                yield body
            if one:
                return


def messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message in one answer; DeviceError where the lengths make no sense."""
    for start, length in _pieces(answer, MESSAGE.size, lambda at: int(MESSAGE.unpack_from(answer, at)[0])):
        yield int(MESSAGE.unpack_from(answer, start)[1]), answer[start + MESSAGE.size : start + length]


def attributes(data: bytes) -> Attributes:
    """Type -> value of the attributes in `data`; DeviceError where the lengths make no sense."""
    found: Attributes = {}
    for start, length in _pieces(data, ATTRIBUTE.size, lambda at: int(ATTRIBUTE.unpack_from(data, at)[0])):
        kind = ATTRIBUTE.unpack_from(data, start)[1] & TYPE_MASK
        found[kind] = data[start + ATTRIBUTE.size : start + length]
    return found


def _pieces(data: bytes, least: int, length_at: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    """Start and length of each length-prefixed piece; the next one begins at a multiple of 4 bytes."""
    start = 0
    while start + least <= len(data):
        length = length_at(start)
        if not least <= length <= len(data) - start:
            raise DeviceError(
                f"the kernel's answer about its interfaces is damaged: {length} bytes at {start} of {len(data)}",
                hint="try again; if it stays, report the kernel's version (`uname -r`)",
            )
        yield start, length
        start += length + -length % 4
