"""Where frames come from: channels that are listened to, a log, a recording. All give frames with wall time stamps."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.candump import LoggedFrame, StoredFrame, read_blocks
from cardan.drivers.can.channel import CanChannel
from cardan.runtime.can_health import CanLink
from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import CardanError, RunError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

if TYPE_CHECKING:
    from cardan.runtime.record.window import Channel

BATCH = 256
BIG_BATCH = 100_000
"""Where frames are looked at in columns: some 20 MB."""
POLL_S = 0.01
"""How often a channel is looked at that has no descriptor to wait on."""
RECEIVED, HEALTH = ":CanFrames", ":CanHealth"
"""How the types of the topics end that the receiver publishes."""
SENT = "/sent"
"""What a bridge sends is on the bus, so the receiver has it too: its own topic would bring it twice."""


class FrameSource(Protocol):
    """Frames, batch by batch. `close` it."""

    @property
    def live(self) -> bool:
        """True where frames arrive as time goes by, False where they were stored."""

    def take(self, wait_s: float) -> list[LoggedFrame] | None:
        """The next frames, oldest first; empty when none came within `wait_s`, None when there will be no more."""

    def close(self) -> None:
        """Release everything."""


def on_wall_clock(frame: CanFrame, offset_ns: int) -> LoggedFrame:
    """A received frame as a log holds it. offset_ns: wall clock minus monotonic clock."""
    return LoggedFrame(frame=msgspec.structs.replace(frame, stamp_ns=frame.stamp_ns + offset_ns))


class LiveFrames:
    """Channels that are listened to.

    alive: False once whoever sends on them is gone for good. failures: gets each channel that cannot be opened; without
    it that is an error.
    """

    live = True

    def __init__(
        self,
        channels: Sequence[CanChannelSettings],
        clock: Clock,
        alive: Callable[[], bool] = lambda: True,
        failures: dict[str, CardanError] | None = None,
    ) -> None:
        self._clock = clock
        self._alive = alive
        self._taps: list[CanChannel] = []
        self._poll = select.poll()
        self._polled = False
        try:
            for settings in channels:
                self._listen(settings, failures)
        except BaseException:
            self.close()
            raise

    def _listen(self, settings: CanChannelSettings, failures: dict[str, CardanError] | None) -> None:
        try:
            tap = open_channel(settings, self._clock)
        except CardanError as error:
            if failures is None:
                raise
            failures[settings.name] = error
            return
        self._taps.append(tap)
        if tap.fileno() >= 0:
            self._poll.register(tap.fileno(), select.POLLIN)
        else:
            self._polled = True

    def take(self, wait_s: float) -> list[LoggedFrame] | None:
        deadline_ns = self._clock.now_ns() + ns(wait_s)
        while True:
            frames = self._waiting()
            left_s = (deadline_ns - self._clock.now_ns()) / 1e9
            if frames or left_s <= 0:
                break
            self._poll.poll(1000 * (min(left_s, POLL_S) if self._polled else left_s))
        if not frames and not self._alive():
            return None
        offset_ns = self._clock.wall_ns() - self._clock.now_ns()
        return [on_wall_clock(frame, offset_ns) for frame in frames]

    def _waiting(self) -> list[CanFrame]:
        frames = [frame for tap in self._taps for frame in tap.receive_batch(BATCH)]
        return sorted(frames, key=lambda frame: frame.stamp_ns) if len(self._taps) > 1 else frames

    def close(self) -> None:
        for tap in self._taps:
            tap.close()


class StoredFrames:
    """Frames of a file, as fast as they can be read."""

    live = False

    def __init__(self, frames: Iterator[LoggedFrame]) -> None:
        self._frames = frames

    def take(self, wait_s: float) -> list[LoggedFrame] | None:
        return list(islice(self._frames, BATCH)) or None

    def close(self) -> None:
        """The files close themselves at their end."""


Batch = tuple[int, list[StoredFrame]]
"""Frames, and what moves their stamps onto the wall clock. A remote frame is alone in its batch."""


class _Frames(msgspec.Struct):
    frames: list[StoredFrame]


class _ChannelHealth(msgspec.Struct):
    channel: str
    link: CanLink | None = None


class _Health(msgspec.Struct):
    """What is used of the newest CanHealth."""

    channels: list[_ChannelHealth]


def recorded_frames(paths: Sequence[Path]) -> Iterator[LoggedFrame]:
    """Every frame that was received on a bus, from the files of a recording."""
    for offset_ns, frames in _messages(paths):
        for frame in frames:
            yield LoggedFrame(
                frame=CanFrame(
                    frame.channel,
                    frame.id,
                    frame.data,
                    frame.stamp_ns + offset_ns,
                    frame.extended,
                    frame.fd,
                    frame.error,
                )
            )


def recorded_batches(paths: Sequence[Path]) -> Iterator[Batch]:
    """The same, BIG_BATCH frames or so at a time."""
    batch: list[StoredFrame] = []
    batch_offset_ns = 0
    for offset_ns, frames in _messages(paths):
        if batch and (len(batch) >= BIG_BATCH or offset_ns != batch_offset_ns):
            yield batch_offset_ns, batch
            batch = []
        batch += frames
        batch_offset_ns = offset_ns
    if batch:
        yield batch_offset_ns, batch


def logged_batches(path: Path) -> Iterator[Batch]:
    """Every frame of a log of `candump -l`, a block of lines at a time."""
    for block in read_blocks(path):
        start = 0
        for at in [place for place, frame in enumerate(block) if frame.remote]:
            yield from ((0, part) for part in (block[start:at], block[at : at + 1]) if part)
            start = at + 1
        if start < len(block):
            yield 0, block[start:]


def _messages(paths: Sequence[Path]) -> Iterator[tuple[int, list[StoredFrame]]]:
    """Wall clock minus monotonic clock, and frames; one message of a receiver at a time."""
    from cardan.runtime.record.selection import selected_messages

    decode = msgspec.json.Decoder(_Frames).decode
    for path in paths:
        for message in selected_messages(path, _is_received):
            try:
                frames = decode(message.data).frames
            except msgspec.DecodeError as error:
                what = f"{path}: a message of {message.topic} cannot be read as CAN frames: {error}"
                raise RunError(what, hint="was it recorded by another release? `cardan record info` tells") from error
            yield message.log_ns - message.sent_ns, frames


def _is_received(channel: Channel) -> bool:
    return channel.type_name.endswith(RECEIVED) and not channel.topic.endswith(SENT)


def recorded_links(paths: Sequence[Path]) -> dict[str, CanLink]:
    """Channel -> what the kernel said last of its interface, from the files of a recording."""
    from cardan.runtime.record.selection import newest_message_or_none

    for path in reversed(paths):
        message = newest_message_or_none(path, lambda channel: channel.type_name.endswith(HEALTH))
        if message is not None:
            health = msgspec.json.decode(message.data, type=_Health)
            return {item.channel: item.link for item in health.channels if item.link is not None}
    return {}
