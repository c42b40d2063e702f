"""A bench bus of its own for each test: a multicast group on a UDP port that was free a moment ago."""

from __future__ import annotations

import socket

import pytest

from cardan.runtime.profile import CanChannelSettings


@pytest.fixture
def bus() -> CanChannelSettings:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return CanChannelSettings(name="vehicle", interface="udp_multicast", channel="239.74.163.2", port=port)
