"""One channel under the eyes of the receiver: what was last seen of it, and what that means for its health."""

from __future__ import annotations

from dataclasses import dataclass

from cardan.drivers.can.channel import CanChannel, ChannelCounters
from cardan.drivers.can.link_state import read_link_or_none
from cardan.runtime.can_health import CanChannelHealth, CanLink
from cardan.runtime.errors import DeviceError
from cardan.runtime.profile import CanChannelSettings


@dataclass
class Watched:
    """One channel and what was last seen of it."""

    settings: CanChannelSettings
    channel: CanChannel | None
    """None while it is gone."""
    heard_ns: int
    """Time of the newest frame; before the first one, time of opening."""
    heard: bool = False
    silent: bool = False
    """The present silence was reported."""
    failing: bool = False
    """The controller said that it cannot take part in the traffic, and this was reported."""
    dropping: bool = False
    """The present series of drops was reported."""
    dropped: int = 0
    retry_ns: int = 0
    error_frames: int = 0
    newest_error: str = ""
    """What the newest error frame said."""

    @property
    def where(self) -> str:
        """Name and device, for people."""
        return f"{self.settings.name} ({self.settings.interface} {self.settings.channel})"

    @property
    def trouble(self) -> str:
        """What is wrong with it now, in words; empty when nothing is."""
        if self.channel is None:
            return "it cannot be opened"
        if self.failing:
            return f"the controller reports {self.newest_error}"
        return "it is silent" if self.silent else "frames are dropped" if self.dropping else ""


def health_of(watched: Watched) -> CanChannelHealth:
    """What is known of one channel now. Asks the kernel, which takes some 0.05 ms."""
    settings, channel = watched.settings, watched.channel
    counters = channel.counters if channel is not None else ChannelCounters()
    return CanChannelHealth(
        channel=settings.name,
        interface=settings.interface,
        device=settings.channel,
        trouble=watched.trouble,
        received=counters.received,
        receive_dropped=counters.receive_dropped,
        ignored=counters.ignored,
        malformed=counters.malformed,
        error_frames=watched.error_frames,
        newest_error=watched.newest_error,
        link=_link_or_none(settings) if settings.interface == "socketcan" else None,
    )


def _link_or_none(settings: CanChannelSettings) -> CanLink | None:
    try:
        return read_link_or_none(settings.channel)
    except DeviceError:  # a kernel that does not tell is no reason to stop receiving
        return None
