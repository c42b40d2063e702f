"""What is known of the health of CAN channels: of each interface from the kernel, of each channel from its reader."""

from __future__ import annotations

import msgspec

from cardan.runtime.messages import Message


class CanLink(msgspec.Struct, frozen=True, kw_only=True):
    """One CAN interface of the kernel. None where the kernel or the driver does not say; `vcan` says little."""

    name: str
    kind: str
    """`can` (hardware), `vcan`, `vxcan`."""
    driver: str = ""
    """Kernel driver of the adapter, such as `gs_usb`; empty for a virtual interface."""
    up: bool
    carries_fd: bool
    transmit_queue_frames: int
    """txqueuelen. The usual 10 drops bursts; 128 is good (Klipper's field experience), much more only adds delay."""
    bus_state: str | None = None
    """ERROR-ACTIVE, ERROR-WARNING, ERROR-PASSIVE, BUS-OFF, STOPPED or SLEEPING."""
    bitrate: int | None = None
    sample_point: float | None = None
    data_bitrate: int | None = None
    listen_only: bool | None = None
    """The controller neither sends nor acknowledges."""
    restart_ms: int | None = None
    """After so long the kernel restarts the controller from bus-off; 0 = never by itself."""
    transmit_errors: int | None = None
    """TEC, the controller's transmit error counter."""
    receive_errors: int | None = None
    """REC, the controller's receive error counter."""
    restarts: int | None = None
    bus_errors: int | None = None
    arbitrations_lost: int | None = None
    warnings: int | None = None
    """How often the controller reached ERROR-WARNING."""
    passives: int | None = None
    bus_offs: int | None = None
    frames_received: int = 0
    frames_sent: int = 0
    receive_drops: int = 0
    send_drops: int = 0


class CanChannelHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of the profile, as the node that reads it sees it. Counters run since it was opened."""

    channel: str
    interface: str
    """What carries the frames: `socketcan`, `udp_multicast`, ..."""
    device: str
    trouble: str
    """What is wrong at this moment, in words; empty when nothing is."""
    received: int
    receive_dropped: int
    """Frames that the kernel threw away because the reader was too slow."""
    ignored: int
    """Remote frames, and CAN FD frames on a channel without CAN FD."""
    malformed: int
    error_frames: int
    """Since the node started."""
    newest_error: str
    """The newest error frame in words; empty before the first."""
    link: CanLink | None
    """What the kernel says of the device; None where it has no say."""


class CanHealth(Message, frozen=True, kw_only=True):
    """The state of the CAN channels that one node reads, once a second."""

    channels: list[CanChannelHealth]
