"""CandumpReplay: a recorded drive on the bench bus, each frame at its time."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import msgspec

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.candump import LoggedFrame, read_candump
from cardan.drivers.can.channel import CanChannel
from cardan.drivers.can.receiver import select_channels
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.data import find_data
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.node import Metric, Node, NodeConfig

BURST_LIMIT = 2000
"""Frames sent in one step at most, so that what follows a stall fits into the readers' receive buffers."""
LINGER_NS = NS_PER_S // 2
"""Between the last frame and the end of this node, so that its readers have taken every frame when the run stops."""
LOOP_GAP_NS = NS_PER_S // 1000
"""Between the last frame of a loop and the first of the next."""


class CandumpReplayConfig(NodeConfig, frozen=True, kw_only=True):
    """Settings of CandumpReplay."""

    data: str = ""
    """Name of a data set, looked for as `cardan.runtime.data.find_data` does. Give this or `path`."""
    file: str = "candump.log.gz"
    """File inside the data set."""
    path: str = ""
    """The recording itself; relative to the manifest."""
    channels: dict[str, str] = msgspec.field(default_factory=dict)
    """Device in the recording -> channel of the profile. Other devices are left out. Empty: equal names."""
    speed: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    """2 replays twice as fast."""
    loop: bool = False
    """Start again at the end, instead of finishing."""


class CandumpReplay(Node):
    """Send a recording in real time, then finish. The file is read as it is sent, so its length does not matter."""

    config: CandumpReplayConfig
    rate_hz = 500.0
    frames_sent = Metric("count")
    """Frames in each burst; their sum is the number of frames sent."""
    lateness = Metric("s")
    """Of the oldest frame in each burst."""

    def open(self) -> None:
        """Find the recording and open the channels; CardanError says where the data comes from when it is absent."""
        self._channels: dict[str, CanChannel] = {}
        self._frames: Generator[LoggedFrame, None, None] | None = None
        self._left_out = self._failed = self._sent = 0
        self._path = recording_path(self.config, self.context.manifest_dir)
        self._start_ns = self._finish_ns = 0  # set by the step that starts, and by the one after the last frame
        self._next = self._rewind()
        if self._next is None:
            raise ConfigError(f"{self._path} has no frames")
        self._first_ns = self._last_ns = self._next.frame.stamp_ns
        names = self.config.channels or {name: name for name in self.context.can_channels}
        selected = select_channels(self.context.can_channels, names.values())
        for device, settings in zip(names, selected, strict=True):
            self._channels[device] = open_channel(settings, self.clock, listen=False)

    def step(self) -> None:
        """Send every frame that is due."""
        now_ns = self.clock.now_ns()
        self._start_ns = self._start_ns or now_ns
        if self._next is None:
            self._end(now_ns)
            return
        late_ns = now_ns - self._due_ns(self._next.frame.stamp_ns)
        sent_before = self._sent
        for _ in range(BURST_LIMIT):
            logged = self._take_due_or_none(now_ns)
            if logged is None:
                break
            self._send(logged)
        if self._sent > sent_before:
            self.frames_sent.observe(self._sent - sent_before)
            self.lateness.observe(late_ns / NS_PER_S)

    def close(self) -> None:
        """Close the channels and the recording, also after a failed `open`."""
        for channel in self._channels.values():
            channel.close()
        if self._frames is not None:
            self._frames.close()

    def _rewind(self) -> LoggedFrame | None:
        self._frames = read_candump(self._path)
        return next(self._frames, None)

    def _due_ns(self, recorded_ns: int) -> int:
        return self._start_ns + round((recorded_ns - self._first_ns) / self.config.speed)

    def _take_due_or_none(self, now_ns: int) -> LoggedFrame | None:
        due = self._next
        if due is None or self._frames is None or self._due_ns(due.frame.stamp_ns) > now_ns:
            return None
        self._last_ns = due.frame.stamp_ns
        self._next = next(self._frames, None)
        return due

    def _send(self, logged: LoggedFrame) -> None:
        frame = logged.frame
        channel = self._channels.get(frame.channel)
        if channel is None or logged.remote:
            self._left_out += 1
            return
        try:
            channel.send(frame.id, frame.data, extended=frame.extended, fd=frame.fd, error=frame.error)
        except DeviceError as error:
            self._report_failure(error)
            return
        self._sent += 1

    def _report_failure(self, error: DeviceError) -> None:
        self._failed += 1
        if self._failed == 1:
            self.report_fault("replay-failed", f"{error.message} - {error.hint or 'the frame is lost'}")

    def _end(self, now_ns: int) -> None:
        if self.config.loop:
            self._start_ns = self._due_ns(self._last_ns) + LOOP_GAP_NS
            self._next = self._rewind()
        elif not self._finish_ns:
            self._finish_ns = now_ns + LINGER_NS
            self.log.info("sent %d frames, left out %d, failed %d", self._sent, self._left_out, self._failed)
        elif now_ns >= self._finish_ns:
            self.finish()


def recording_path(config: CandumpReplayConfig, manifest_dir: Path) -> Path:
    """Where the recording lies; ConfigError when neither or both of `data` and `path` are given, or it is absent."""
    if bool(config.data) == bool(config.path):
        raise ConfigError(
            "the replay needs one recording: `data` or `path`, not both",
            hint='data = "rav4_minute" in its config table, or path = "drive.log"',
        )
    path = find_data(config.data, manifest_dir) / config.file if config.data else manifest_dir / config.path
    if not path.is_file():
        raise ConfigError(
            f"no recording at {path}", hint=f"the README of {manifest_dir} says where the data comes from"
        )
    return path
