"""The hardware profile: what the computer is (core groups, scheduling, CAN channels, storage, watchdog).

A core group or CAN channel has the same name in every profile of a fleet, so that one manifest fits all its computers.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

SCHEMA = 1
"""Version of the keys below; a file says which one it was written for."""

Positive = Annotated[int, msgspec.Meta(gt=0)]
CoreNumber = Annotated[int, msgspec.Meta(ge=0, le=4095)]


class CanChannelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One CAN channel of the computer."""

    name: str = ""
    """Filled in from the key of its table."""
    interface: Annotated[str, msgspec.Meta(min_length=1)] = "udp_multicast"
    """`socketcan`, `udp_multicast` (bench bus), or the name of another python-can interface."""
    channel: str = "239.74.163.2"
    """Device (`can0`), or multicast group of a bench bus."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """UDP port of a bench bus; 0 lets each run pick a free one."""
    bitrate: Positive = 500_000
    """Bits a second, of the arbitration phase; SocketCAN devices are brought up by the computer with theirs."""
    fd: bool = False
    """CAN FD frames too."""
    options: dict[str, str | int | float | bool] = {}
    """What an interface of python-can wants beside these, such as `tty_baudrate`; passed on as it is."""


class RealtimeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scheduling of real-time nodes."""

    scheduler: Literal["fifo-if-allowed", "fifo", "other"] = "fifo-if-allowed"
    """fifo (a difference is a fault), fifo-if-allowed, or other."""
    priority: Annotated[int, msgspec.Meta(ge=1, le=99)] = 50
    """Under SCHED_FIFO, of the fastest node."""
    memory_lock: bool = False
    """Keep all pages of real-time nodes in memory."""
    wakeup_latency_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    """How long a processor may take to wake up while a vehicle runs: it sleeps less deeply, and takes more power. 0 for
    loops of 1 kHz; None: as the computer likes."""


class AcceleratorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs the engines."""

    kind: Literal["cpu", "cuda"] = "cpu"
    """cuda: an NVIDIA GPU, on a card or in the chip."""
    name: str = ""
    """As the driver, or the computer, calls it; `cardan doctor` says when it is another one."""


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where files that stay go, and how much they may take."""

    data_dir: str = ""
    """Empty: the user's own data folder."""
    quota_bytes: Positive = 4_000_000_000
    """What recordings and outbox may take; `cardan doctor` says when the disk is smaller."""


class WatchdogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hardware watchdog, which resets the computer when the run no longer feeds it."""

    device: Annotated[str, msgspec.Meta(pattern="^(/dev/.+)?$")] = ""
    """Such as `/dev/watchdog0`; empty: none. Not one that systemd itself holds (RuntimeWatchdogSec)."""
    timeout_s: Annotated[int, msgspec.Meta(ge=2, le=3600)] = 10
    """The hardware may round it. Longer than a restart of the whole run, which nobody feeds it through."""


class VideoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What encodes pictures as H.264: a program of the computer's image, under the licence that it comes with."""

    encoder: Annotated[str, msgspec.Meta(min_length=1)] = "auto"
    """One of `ffmpeg -encoders`; auto: the first that works, hardware before software."""
    command: list[str] = []
    """Another program instead, such as gst-launch-1.0: raw pictures come on its standard input, H.264 in Annex B is
    expected on its standard output, one picture for each, without B pictures. docs/recording.md has the places that
    are filled in."""
    device: Annotated[str, msgspec.Meta(pattern="^/dev/.+$")] = "/dev/dri/renderD128"
    """Of the encoder h264_vaapi."""


class MachineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the computer was when its profile was written; `cardan doctor` says what has changed."""

    model: str = ""
    """As its maker calls it."""
    architecture: str = ""
    """As `uname -m` says it."""
    processors: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Online; 0: not said."""
    memory_mib: Annotated[int, msgspec.Meta(ge=0)] = 0
    """0: not said."""


class DiskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One disk of the computer, called as the kernel does."""

    kind: Literal["nvme", "ssd", "hdd", "emmc", "sd", "virtual"]
    """What it is."""
    size_gb: Positive
    """In units of 1e9 bytes."""
    mounts: list[str] = []
    """Where its file systems are mounted."""


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network interface of the computer, called as the kernel does; `*` stands for anything (`"wwan*"`)."""

    kind: Literal["ethernet", "wifi", "mobile"]
    """What it is."""
    metered: Literal["auto", "yes", "no"] = "auto"
    """Whether bytes cost money; auto: NetworkManager's word, else those of mobile links do."""
    driver: str = ""
    """Of the kernel."""
    ptp_clock: str = ""
    """Its hardware clock, such as `ptp0`."""


class ThermalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One temperature of the computer, called as its zone."""

    critical_c: Annotated[float, msgspec.Meta(gt=0, le=200)]
    """At which the computer switches itself off."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One computer."""

    name: str
    """As `--profile` and manifests call it."""
    description: str = ""
    """For people."""
    cores: dict[str, Annotated[list[CoreNumber], msgspec.Meta(min_length=1)] | Literal["all"]] = {}
    """Core groups: CPU numbers, or "all"."""
    can: dict[str, CanChannelSettings] = {}
    """Channel -> what is behind it."""
    realtime: RealtimeSettings = RealtimeSettings()
    """Scheduling of real-time nodes."""
    accelerator: AcceleratorSettings = AcceleratorSettings()
    """What runs the engines."""
    storage: StorageSettings = StorageSettings()
    """Where files that stay go."""
    watchdog: WatchdogSettings = WatchdogSettings()
    """The hardware watchdog."""
    video: VideoSettings = VideoSettings()
    """What encodes pictures as H.264."""
    machine: MachineSettings = MachineSettings()
    """What the computer was when this was written."""
    disks: dict[str, DiskSettings] = {}
    """Disk -> what it is."""
    links: dict[str, LinkSettings] = {}
    """Network interface -> what it is."""
    thermal: dict[str, ThermalSettings] = {}
    """Temperature zone -> its limit."""
    devices: dict[str, Annotated[str, msgspec.Meta(pattern="^/dev/.+$")]] = {}
    """Cameras, receivers and the like: a name, and a path that stays the same when something else is plugged in."""
