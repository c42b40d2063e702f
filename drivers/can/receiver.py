"""CanReceiver: every frame of the vehicle's CAN channels as a topic, in bus order, with its time of reception."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Annotated

import msgspec

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.channel import CanChannel
from cardan.drivers.can.error_frames import decode_error_frame, describe
from cardan.drivers.can.watched import Watched, health_of
from cardan.runtime.can_health import CanHealth
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.errors import ConfigError, DeviceError, near_names
from cardan.runtime.messages import CanFrame, CanFrames
from cardan.runtime.node import Metric, Node, NodeConfig, Output
from cardan.runtime.profile import CanChannelSettings

BATCH_LIMIT = 256
"""Frames of one channel in one step: 30 ms of a full 1 Mbit/s bus. What is left over wakes the node again at once."""
REOPEN_NS = NS_PER_S
"""Between attempts to open a channel that vanished."""
HEALTH_NS = NS_PER_S
"""Between two messages about the health of the channels."""
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class CanReceiverConfig(NodeConfig, frozen=True, kw_only=True):
    """Settings of CanReceiver."""

    channels: tuple[str, ...] = ()
    """Channels of the profile; empty means all of them."""
    silence_s: Seconds = 0.5
    """A channel without a frame for so long is a fault."""
    first_frame_s: Seconds = 5.0
    """The same before its first frame, while the rest of the vehicle wakes up."""


class CanReceiver(Node):
    """Publish what arrives on the CAN channels; report each channel that falls silent, vanishes, or overflows."""

    config: CanReceiverConfig
    rate_hz = 100.0
    frames = Output(CanFrames)
    health = Output(CanHealth)
    frames_carried = Metric("count")
    """Frames in each batch that was published; their sum is the number of frames carried."""
    frames_dropped = Metric("count")
    """Frames that the kernel dropped because this node was too slow; their sum is the number lost."""

    def open(self) -> None:
        """Open the channels; ConfigError or DeviceError when one of them cannot be opened."""
        self._channels: list[Watched] = []
        self._told_ns = 0
        self._descriptors = select.epoll()
        self.wake_on(self._descriptors.fileno())
        for settings in select_channels(self.context.can_channels, self.config.channels):
            watched = Watched(settings, None, self.clock.now_ns())
            self._channels.append(watched)
            self._open_channel(watched)

    def step(self) -> None:
        """Take what has arrived on every channel and publish it as one batch."""
        now_ns = self.clock.now_ns()
        frames: list[CanFrame] = []
        for watched in self._channels:
            if watched.channel is None:
                self._reopen(watched, now_ns)
            else:
                frames += self._receive(watched, watched.channel, now_ns)
        if frames:
            frames.sort(key=_stamp_ns)
            self.frames.send(CanFrames(frames=frames), origin_ns=frames[-1].stamp_ns)
            self.frames_carried.observe(len(frames))
        if now_ns - self._told_ns >= HEALTH_NS:
            self._told_ns = now_ns
            self.health.send(CanHealth(channels=[health_of(watched) for watched in self._channels]))

    def close(self) -> None:
        """Close all channels, also after a failed `open`."""
        for watched in self._channels:
            if watched.channel is not None:
                watched.channel.close()
        self._descriptors.close()

    def _receive(self, watched: Watched, channel: CanChannel, now_ns: int) -> list[CanFrame]:
        try:
            frames = channel.receive_batch(BATCH_LIMIT)
        except DeviceError as error:
            self._lose(watched, channel, error, now_ns)
            return []
        errors = [frame for frame in frames if frame.error]
        if len(frames) > len(errors):
            watched.heard_ns, watched.heard, watched.silent = now_ns, True, False
            watched.failing = watched.failing and bool(errors)
        self._report_errors(watched, errors)
        self._report_silence(watched, now_ns)
        self._count_drops(watched, channel)
        return frames

    def _report_errors(self, watched: Watched, errors: list[CanFrame]) -> None:
        """The first error frame of a series that means more than a single disturbed frame."""
        watched.error_frames += len(errors)
        for frame in errors:
            report = decode_error_frame(frame.id, frame.data)
            watched.newest_error = describe(report)
            if report.is_fault and not watched.failing:
                watched.failing = True
                text = f"the controller of channel {watched.where} reports {watched.newest_error}"
                hint = "check wiring, termination, and that all nodes have the same bit rate"
                self.report_fault("can-controller", f"{text} - {hint}")

    def _report_silence(self, watched: Watched, now_ns: int) -> None:
        limit_s = self.config.silence_s if watched.heard else self.config.first_frame_s
        if watched.silent or now_ns - watched.heard_ns <= ns(limit_s):
            return
        watched.silent = True
        self.report_fault("can-silent", f"no frame on channel {watched.where} for {limit_s:g} s - {_hint(watched)}")

    def _count_drops(self, watched: Watched, channel: CanChannel) -> None:
        new = channel.counters.receive_dropped - watched.dropped
        watched.dropped += new
        if new:
            self.frames_dropped.observe(new)
        if new and not watched.dropping:
            text = f"{new} frames of channel {watched.where} were dropped by the kernel"
            self.report_fault("can-dropped", f"{text} - is this computer overloaded? see `cardan status`")
        watched.dropping = new > 0

    def _lose(self, watched: Watched, channel: CanChannel, error: DeviceError, now_ns: int) -> None:
        channel.close()
        watched.channel, watched.retry_ns = None, now_ns + REOPEN_NS
        self.report_fault("can-gone", f"{error.message} - {error.hint or _hint(watched)}; trying again every second")

    def _reopen(self, watched: Watched, now_ns: int) -> None:
        if now_ns < watched.retry_ns:
            return
        watched.retry_ns = now_ns + REOPEN_NS
        try:
            self._open_channel(watched)
        except DeviceError as error:
            self.log.debug("still gone: %s", error.message)
            return
        self.log.info("channel %s is back", watched.where)

    def _open_channel(self, watched: Watched) -> None:
        channel = open_channel(watched.settings, self.clock)
        watched.channel, watched.heard_ns = channel, self.clock.now_ns()
        watched.heard = watched.silent = watched.failing = watched.dropping = False
        watched.dropped = 0
        if channel.fileno() >= 0:  # else the rate of this node polls it
            self._descriptors.register(channel.fileno(), select.EPOLLIN)


def select_channels(available: dict[str, CanChannelSettings], wanted: Iterable[str]) -> list[CanChannelSettings]:
    """The settings of the wanted channels (all when none is named); ConfigError for a name the profile lacks."""
    if not available:
        raise ConfigError("the profile has no CAN channel", hint="add a [can.NAME] table to it")
    names = list(wanted) or list(available)
    for name in names:
        if name not in available:
            raise ConfigError(f'the profile has no CAN channel "{name}"', hint=near_names(name, list(available)))
    return [available[name] for name in names]


def _stamp_ns(frame: CanFrame) -> int:
    return frame.stamp_ns


def _hint(watched: Watched) -> str:
    if watched.settings.interface == "socketcan":
        return f"is it powered? try `candump {watched.settings.channel}`"
    return "does anything send on it?"
