"""One CAN frame as `candump -l` of can-utils writes it: the log format that canplayer and most CAN tools read."""

from __future__ import annotations

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.messages import CanFrame

ERROR_FLAG = 0x2000_0000
"""Marks an error frame in an identifier (linux/can.h)."""


def can_line(frame: CanFrame, stamp_ns: int, payload: str) -> str:
    """`(seconds.fraction) channel ID#payload`: microseconds where they are exact, else nanoseconds."""
    seconds, nanoseconds = divmod(stamp_ns, NS_PER_S)
    fraction = f"{nanoseconds // 1000:06d}" if nanoseconds % 1000 == 0 else f"{nanoseconds:09d}"
    identifier = f"{frame.id | (ERROR_FLAG if frame.error else 0):0{8 if frame.extended or frame.error else 3}X}"
    return f"({seconds:010d}.{fraction}) {frame.channel} {identifier}#{payload}"


def can_payload(frame: CanFrame, fd_flags: int = 0) -> str:
    """The data of a frame in hex; that of a CAN FD frame with a second `#` and its flags."""
    data = frame.data.hex().upper()
    return f"#{fd_flags:X}{data}" if frame.fd else data
