"""Which driver opens a channel of the profile."""

from __future__ import annotations

import select

import pytest

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.loopback import LoopbackChannel
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.profile import CanChannelSettings


def test_an_absent_device_is_an_error_with_the_command_that_shows_it() -> None:
    with pytest.raises(DeviceError) as error:
        open_channel(CanChannelSettings(name="vehicle", interface="socketcan", channel="nocan7"))
    assert "cannot open channel vehicle (socketcan nocan7)" in error.value.message
    assert error.value.hint is not None
    assert "udp_multicast" in error.value.hint or "ip -br link show" in error.value.hint


def test_the_bench_bus_is_opened_on_our_own_sockets(free_port: int) -> None:
    channel = open_channel(CanChannelSettings(name="vehicle", port=free_port))
    assert isinstance(channel, LoopbackChannel)
    assert select.select([channel.fileno()], [], [], 0)[0] == []
    channel.close()


@pytest.mark.parametrize("interface", ["socketcan", "udp_multicast"])
def test_options_for_an_interface_of_our_own_are_refused(interface: str) -> None:
    settings = CanChannelSettings(name="vehicle", interface=interface, channel="can0", options={"rtscts": True})
    with pytest.raises(ConfigError, match=f'"{interface}" takes no options'):
        open_channel(settings)
