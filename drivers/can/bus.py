"""Open a CAN channel of the profile: bench bus and SocketCAN on our own sockets, the others through python-can."""

from __future__ import annotations

from cardan.drivers.can.channel import CanChannel
from cardan.drivers.can.loopback import LoopbackChannel
from cardan.drivers.can.python_can import PythonCanChannel
from cardan.drivers.can.socketcan import SocketCanChannel
from cardan.runtime.clock import Clock
from cardan.runtime.errors import ConfigError
from cardan.runtime.profile import CanChannelSettings

OWN = ("socketcan", "udp_multicast")
"""Interfaces that many programs of one computer can listen to at once, on sockets of our own."""


def open_channel(settings: CanChannelSettings, clock: Clock | None = None, *, listen: bool = True) -> CanChannel:
    """Open the channel that a `[can.NAME]` table of the profile describes.

    listen: False for a node that only sends. ConfigError for settings that cannot work, DeviceError when the device
    is absent or python-can is not installed.
    """
    if settings.interface not in OWN:
        return PythonCanChannel(settings, clock)
    if settings.options:
        raise ConfigError(
            f'channel {settings.name}: interface "{settings.interface}" takes no options',
            hint=f"remove `options` from [can.{settings.name}] of the profile: they are for interfaces of python-can",
        )
    if settings.interface == "socketcan":
        return SocketCanChannel(settings, clock, listen=listen)
    return LoopbackChannel(settings, clock, listen=listen)
