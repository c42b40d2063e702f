"""What every CAN channel can do, whatever carries it: send, receive a batch, count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cardan.runtime.errors import DeviceError
from cardan.runtime.messages import CanFrame

STANDARD_ID_MAX = 0x7FF
EXTENDED_ID_MAX = 0x1FFF_FFFF
FD_LENGTHS = frozenset((*range(9), 12, 16, 20, 24, 32, 48, 64))
"""Payload lengths that CAN FD can code (ISO 11898-1:2015, table of the DLC)."""


@dataclass(slots=True)
class ChannelCounters:
    """What happened on a channel since it was opened. Every frame that was lost is counted here."""

    sent: int = 0
    received: int = 0
    send_failures: int = 0
    """Frames that the interface refused."""
    send_dropped: int = 0
    """Frames that found no room in the transmit queue: `send` never waits for room."""
    receive_dropped: int = 0
    """Frames that the kernel threw away because the receive buffer was full; not told by python-can."""
    ignored: int = 0
    """Remote frames, and FD frames on a channel without FD: nothing of ours can carry them."""
    malformed: int = 0
    """Datagrams that are no CAN frame."""
    confirmed: int = 0
    """Our own frames that were on the bus; only `socketcan` can tell."""


class CanChannel(Protocol):
    """One open CAN channel. Nothing here blocks. One thread at a time."""

    @property
    def name(self) -> str:
        """Name in the profile; it stands in every frame."""

    @property
    def counters(self) -> ChannelCounters:
        """Live counters."""

    def send(self, frame_id: int, data: bytes, *, extended: bool = False, fd: bool = False, error: bool = False) -> int:
        """Send one frame now and return its monotonic stamp in ns.

        DeviceError when it cannot be sent: impossible frame, full transmit queue (`counters.send_dropped`), refusal
        by the interface (`counters.send_failures`). A channel with a queue of its own (`socketcan`) raises when older
        frames in it had to give way, though the new one goes out or waits. `error` simulates an error frame where the
        interface can.
        """

    def receive_batch(self, limit: int = 256) -> list[CanFrame]:
        """The frames that are there, oldest first, at most `limit`; never our own.

        DeviceError when the channel is gone.
        Stamps are the kernel's or driver's time of reception, moved to the monotonic clock; they never run backwards.
        """

    def fileno(self) -> int:
        """Descriptor that is readable when frames are there; -1 where the interface has none: poll then."""

    def close(self) -> None:
        """Release the channel; twice is fine."""


@runtime_checkable
class Confirming(Protocol):
    """A channel that can tell which of its frames were on the bus."""

    def take_confirmed(self) -> list[CanFrame]:
        """Our own frames that were on the bus, as seen by `receive_batch`, oldest first; each is told once."""


def check_frame(name: str, frame_id: int, data: bytes, *, extended: bool, fd: bool, fd_channel: bool) -> None:
    """Raise DeviceError for a frame that no CAN controller could send on channel `name`."""
    id_max = EXTENDED_ID_MAX if extended else STANDARD_ID_MAX
    if not 0 <= frame_id <= id_max:
        kind = "29-bit" if extended else "11-bit"
        raise DeviceError(f"channel {name}: 0x{frame_id:X} is no {kind} identifier", hint=f"it ends at 0x{id_max:X}")
    if fd and not fd_channel:
        raise DeviceError(
            f"channel {name}: frame 0x{frame_id:X} is CAN FD, the channel is not",
            hint=f"set fd = true in [can.{name}] of the profile",
        )
    if len(data) > 8 if not fd else len(data) not in FD_LENGTHS:
        allowed = "0-8, 12, 16, 20, 24, 32, 48 or 64" if fd else "0 to 8"
        raise DeviceError(f"channel {name}: frame 0x{frame_id:X} has {len(data)} data bytes, expected {allowed}")


class ReceptionClock:
    """Moves the wall-clock stamps of kernel and drivers onto the monotonic clock.

    A frame that is read now arrived after the channel was last seen empty, and not in the future. A stamp outside
    that window is moved to its edge, so a jump of the wall clock costs precision for one batch and nothing more.
    """

    def __init__(self, now_ns: int) -> None:
        self._earliest_ns = now_ns
        self._now_ns = now_ns
        self._offset_ns = 0

    def begin(self, now_ns: int, wall_ns: int) -> tuple[int, int, int]:
        """Start a batch: both clocks, read at the same moment before the first frame of the batch is read.

        Returns what `stamp_ns` works with, for a loop that has no time to call it and says in the end what it has
        `reached`: offset, latest and earliest stamp.
        """
        self._now_ns = now_ns
        self._offset_ns = now_ns - wall_ns
        return self._offset_ns, now_ns, self._earliest_ns

    def stamp_ns(self, arrival_wall_ns: int) -> int:
        """Monotonic stamp of a frame of this batch that arrived at `arrival_wall_ns`; never before the previous one."""
        moved_ns = arrival_wall_ns + self._offset_ns
        if moved_ns > self._now_ns:
            moved_ns = self._now_ns
        if moved_ns > self._earliest_ns:
            self._earliest_ns = moved_ns
        return self._earliest_ns

    def reached(self, stamp_ns: int) -> None:
        """The newest stamp of such a loop."""
        self._earliest_ns = stamp_ns

    def drained(self) -> None:
        """The channel was empty at the end of this batch: what comes next arrived after its begin."""
        if self._now_ns > self._earliest_ns:
            self._earliest_ns = self._now_ns
