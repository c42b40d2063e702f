"""The hardware profile: what the computer is (core groups, scheduling, CAN channels, storage)."""

from __future__ import annotations

import msgspec


class CanChannelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One CAN channel of the computer."""

    name: str = ""
    """Filled in from the key of its table."""
    interface: str = "udp_multicast"
    """python-can interface name."""
    channel: str = "239.74.163.2"
    port: int = 0
    """UDP port of a bench bus; 0 lets each run pick a free one."""
    bitrate: int = 500_000
    fd: bool = False


class RealtimeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scheduling of real-time nodes."""

    scheduler: str = "fifo-if-allowed"
    """fifo (a difference is a fault), fifo-if-allowed, or other."""
    priority: int = 50
    memory_lock: bool = False


class AcceleratorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs the engines."""

    kind: str = "cpu"


class StorageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where files that stay go, and how much they may take."""

    data_dir: str = ""
    quota_bytes: int = 4_000_000_000


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One computer."""

    name: str
    description: str = ""
    cores: dict[str, list[int] | str] = {}
    """Core groups: CPU numbers, or "all"."""
    can: dict[str, CanChannelSettings] = {}
    realtime: RealtimeSettings = RealtimeSettings()
    accelerator: AcceleratorSettings = AcceleratorSettings()
    storage: StorageSettings = StorageSettings()
