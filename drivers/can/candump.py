"""Recordings of CAN traffic in the text format of `candump -l` (can-utils), plain or gzip.

(0000046408.584930) can0 260#08FFFB0000001884 R      received classic frame; `T` = sent by the recording computer
(1436509053.850870) can1 18DB33F1#0201            29-bit identifier: eight digits; the direction is optional
(1436509053.850871) can1 123##1AABBCCDD             CAN FD: one digit of flags (1 = bit-rate switch, 2 = error state)
(1436509053.850872) can0 7DF#R8                     remote frame that asks for 8 bytes
(1436509053.850873) can0 20000004#0004000000000000   error frame: bit 29 set, error class bits in the identifier
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import IO, Annotated

import msgspec

from cardan.drivers.can.channel import EXTENDED_ID_MAX, FD_LENGTHS, STANDARD_ID_MAX
from cardan.runtime.can_line import ERROR_FLAG, can_line, can_payload
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import CardanError
from cardan.runtime.messages import CanFrame

BLOCK_CHARACTERS = 1 << 20
PLAIN = re.compile(
    r"^\((\d{1,12})\.(\d{6})\) (\S+) ([0-7][0-9A-F]{2}|[01][0-9A-F]{7})#((?:[0-9A-F]{2}){0,8})(?: [RT])?$",
    re.ASCII | re.MULTILINE,
)
"""A line with a classic data frame: time, channel, identifier of 11 or 29 bits, data."""


class CandumpError(CardanError):
    """A line of a recording cannot be understood, or a frame cannot be written."""


class LoggedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a recording."""

    frame: CanFrame
    """`channel` is the device of the recording, `stamp_ns` its clock (wall clock in most recordings)."""
    direction: str = ""
    """R = received, T = sent by the recording computer, empty = not recorded."""
    remote: bool = False
    """A remote frame: it has no data, and `remote_length` bytes were asked for."""
    remote_length: int = 0
    fd_flags: int = 0
    """CAN FD only: 1 = bit-rate switch, 2 = error state indicator."""


def read_candump(path: Path) -> Generator[LoggedFrame, None, None]:
    """Each line of a recording, streamed: memory does not grow with the file. Empty lines are passed over.

    CandumpError names file and line; a file that cannot be read or is cut off in its gzip stream is one too.
    """
    line_number = 0
    try:
        with _open_text(path) as stream:
            for line_number, line in enumerate(stream, start=1):
                if not line.isspace():
                    yield parse_line(line, f"{path}:{line_number}")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CandumpError(f"{path}: cannot read on after line {line_number}: {error}") from error


class StoredFrame(msgspec.Struct, gc=False):
    """One frame of many: quicker to make than a `LoggedFrame`, and no work for the garbage collector."""

    channel: str
    id: Annotated[int, msgspec.Meta(ge=0, le=EXTENDED_ID_MAX)]
    data: Annotated[bytes, msgspec.Meta(max_length=64)]
    stamp_ns: int
    extended: bool = False
    fd: bool = False
    error: bool = False
    remote: bool = False


def read_blocks(path: Path) -> Generator[list[StoredFrame], None, None]:
    """The frames of a recording, some ten thousand at a time, in order. Errors as `read_candump`."""
    ids: dict[str, tuple[int, bool]] = {}
    line_number = 0
    try:
        with _open_text(path) as stream:
            while lines := stream.readlines(BLOCK_CHARACTERS):
                found = PLAIN.findall("".join(lines))
                if len(found) == len(lines):
                    yield [_plain(ids, *fields) for fields in found]
                else:
                    numbered = enumerate(lines, start=line_number + 1)
                    yield [_stored(line, f"{path}:{number}") for number, line in numbered if not line.isspace()]
                line_number += len(lines)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CandumpError(f"{path}: cannot read on after line {line_number}: {error}") from error


def _plain(
    ids: dict[str, tuple[int, bool]], seconds: str, fraction: str, channel: str, identifier: str, data: str
) -> StoredFrame:
    """ids: those that were read before."""
    known = ids.get(identifier)
    if known is None:
        known = ids[identifier] = int(identifier, 16), len(identifier) == 8
    return StoredFrame(channel, known[0], bytes.fromhex(data), int(seconds + fraction) * 1000, known[1])


def _stored(line: str, where: str) -> StoredFrame:
    logged = parse_line(line, where)
    frame = logged.frame
    plain = frame.channel, frame.id, frame.data, frame.stamp_ns
    return StoredFrame(*plain, frame.extended, frame.fd, frame.error, logged.remote)


def write_candump(path: Path, frames: Iterable[LoggedFrame]) -> int:
    """Write a recording (gzip when the name ends in .gz) and return the number of lines."""
    count = 0
    with _open_text(path, "wt") as stream:
        for logged in frames:
            stream.write(format_line(logged) + "\n")
            count += 1
    return count


def _open_text(path: Path, mode: str = "rt") -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, mode, encoding="ascii")  # type: ignore[return-value]  # text mode gives text
    return path.open(mode, encoding="ascii")


def parse_line(line: str, where: str = "line") -> LoggedFrame:
    """One line as a frame. where: stands in the error, such as `file:12`."""
    try:
        stamp, channel, body, *direction = line.split()
        identifier, mark, payload = body.partition("#")
        if not mark:
            raise ValueError("no #")
        if direction not in ([], ["R"], ["T"]):
            raise ValueError(f'direction "{" ".join(direction)}"')
        return _frame(_stamp_ns(stamp), channel, identifier, payload, direction[0] if direction else "")
    except ValueError as error:
        raise CandumpError(
            f"{where}: not a candump line: {line.strip()[:80]!r} ({error})",
            hint="expected (SECONDS.FRACTION) CHANNEL ID#DATA as written by `candump -l`",
        ) from error


def _stamp_ns(text: str) -> int:
    seconds, point, fraction = text[1:-1].partition(".")
    if text[0] != "(" or text[-1] != ")" or not (seconds + fraction).isdecimal() or not point or len(fraction) > 9:
        raise ValueError(f"time {text!r}")
    return int(seconds) * NS_PER_S + int(fraction.ljust(9, "0"))


def _frame(stamp_ns: int, channel: str, identifier: str, payload: str, direction: str) -> LoggedFrame:
    frame_id = int.from_bytes(bytes.fromhex(identifier.zfill(8)), "big")
    error = len(identifier) == 8 and bool(frame_id & ERROR_FLAG)
    extended = len(identifier) == 8 and not error
    if len(identifier) not in (3, 8) or frame_id > (EXTENDED_ID_MAX | (ERROR_FLAG if error else 0)):
        raise ValueError(f"identifier {identifier!r}")
    if not extended and not error and frame_id > STANDARD_ID_MAX:
        raise ValueError(f"identifier {identifier!r} has more than 11 bits")
    frame_id &= EXTENDED_ID_MAX
    if payload.startswith("R"):
        frame = CanFrame(channel, frame_id, b"", stamp_ns, extended)
        return LoggedFrame(frame=frame, direction=direction, remote=True, remote_length=_length(payload[1:] or "0"))
    fd = payload.startswith("#")
    flags = int(payload[1:2], 16) if fd else 0
    data = bytes.fromhex(payload[2:] if fd else payload)
    if (len(data) not in FD_LENGTHS) if fd else (len(data) > 8):
        raise ValueError(f"{len(data)} data bytes")
    frame = CanFrame(channel, frame_id, data, stamp_ns, extended, fd, error)
    return LoggedFrame(frame=frame, direction=direction, fd_flags=flags)


def _length(text: str) -> int:
    length = int(text, 16)
    if not 0 <= length <= 8:
        raise ValueError(f"remote frame of {length} bytes")
    return length


def format_line(logged: LoggedFrame) -> str:
    """The line that `parse_line` turns into `logged` again: microseconds where they are exact, else nanoseconds."""
    frame = logged.frame
    if not frame.channel or any(character.isspace() for character in frame.channel) or frame.stamp_ns < 0:
        raise CandumpError(f"{frame!r} has no candump line", hint="a channel is one word, a time is not negative")
    direction = f" {logged.direction}" if logged.direction else ""
    return f"{can_line(frame, frame.stamp_ns, _payload(logged))}{direction}"


def _payload(logged: LoggedFrame) -> str:
    if logged.remote:
        return f"R{logged.remote_length:X}" if logged.remote_length else "R"
    return can_payload(logged.frame, logged.fd_flags)
