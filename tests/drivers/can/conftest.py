"""A bench bus of its own for each test: a multicast group on a UDP port that was free a moment ago."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from cardan.runtime.profile import CanChannelSettings


@pytest.fixture
def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def bench_settings(free_port: int) -> Iterator[Callable[..., CanChannelSettings]]:
    def make(name: str = "vehicle", *, group: str = "239.74.163.2", fd: bool = False) -> CanChannelSettings:
        return CanChannelSettings(name=name, interface="udp_multicast", channel=group, port=free_port, fd=fd)

    yield make
