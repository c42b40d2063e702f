from __future__ import annotations

import builtins
import select
from collections.abc import Iterator
from typing import Any

import can
import pytest
from can.interfaces.virtual import VirtualBus

from cardan.drivers.can.bus import PythonCanChannel, open_channel
from cardan.drivers.can.loopback import LoopbackChannel
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.profile import CanChannelSettings


@pytest.fixture
def virtual(request: pytest.FixtureRequest) -> CanChannelSettings:
    return CanChannelSettings(name="vehicle", interface="virtual", channel=request.node.name)


@pytest.fixture
def pair(virtual: CanChannelSettings) -> Iterator[tuple[PythonCanChannel, PythonCanChannel]]:
    one, two = PythonCanChannel(virtual), PythonCanChannel(virtual)
    yield one, two
    one.close()
    two.close()


def test_a_virtual_channel_carries_frames_to_others_and_not_back(
    pair: tuple[PythonCanChannel, PythonCanChannel],
) -> None:
    one, two = pair
    before_ns = MonotonicClock().now_ns()
    one.send(0x123, b"\x01\x02")
    one.send(0x18DB33F1, b"", extended=True)
    one.send(0x4, bytes(8), error=True)
    frames = two.receive_batch()
    assert [(f.channel, f.id, f.data, f.extended, f.error) for f in frames] == [
        ("vehicle", 0x123, b"\x01\x02", False, False),
        ("vehicle", 0x18DB33F1, b"", True, False),
        ("vehicle", 0x4, bytes(8), False, True),
    ]
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(stamps)
    assert before_ns <= stamps[0] <= stamps[-1] <= MonotonicClock().now_ns()
    assert one.receive_batch() == []
    assert (one.counters.sent, two.counters.received) == (3, 3)


def test_an_interface_without_descriptor_says_minus_one(pair: tuple[PythonCanChannel, PythonCanChannel]) -> None:
    assert pair[0].fileno() == -1


def test_a_limit_is_kept(pair: tuple[PythonCanChannel, PythonCanChannel]) -> None:
    for number in range(5):
        pair[0].send(number, b"")
    assert [frame.id for frame in pair[1].receive_batch(limit=3)] == [0, 1, 2]
    assert [frame.id for frame in pair[1].receive_batch()] == [3, 4]


def test_remote_frames_are_counted_as_ignored(
    pair: tuple[PythonCanChannel, PythonCanChannel], virtual: CanChannelSettings
) -> None:
    with can.Bus(interface="virtual", channel=virtual.channel, ignore_config=True) as tool:
        tool.send(can.Message(arbitration_id=1, is_remote_frame=True, is_extended_id=False))
        tool.send(can.Message(arbitration_id=2, is_extended_id=False))
    assert [frame.id for frame in pair[0].receive_batch()] == [2]
    assert pair[0].counters.ignored == 1


@pytest.mark.parametrize(
    ("failure", "counter", "text"),
    [
        (can.CanOperationError("Transmit buffer full"), "send_dropped", "transmit queue is full"),
        (can.CanTimeoutError(), "send_dropped", "transmit queue is full"),
        (can.CanOperationError("Failed to transmit: Network is down"), "send_failures", "Network is down"),
        (OSError(100, "Network is down"), "send_failures", "Network is down"),
    ],
)
def test_a_failed_send_is_an_error_and_is_counted_by_its_kind(
    pair: tuple[PythonCanChannel, PythonCanChannel],
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    counter: str,
    text: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(VirtualBus, "send", fail)
    with pytest.raises(DeviceError, match=text):
        pair[0].send(1, b"")
    assert getattr(pair[0].counters, counter) == 1
    assert pair[0].counters.sent == 0


def test_a_channel_that_vanished_says_so(
    pair: tuple[PythonCanChannel, PythonCanChannel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise can.CanOperationError("Error receiving: Network is down", 100)

    monkeypatch.setattr(VirtualBus, "recv", fail)
    with pytest.raises(DeviceError, match=r"channel vehicle is gone: .*Network is down"):
        pair[0].receive_batch()


def test_a_closed_channel_says_so_and_may_be_closed_again(pair: tuple[PythonCanChannel, PythonCanChannel]) -> None:
    pair[0].close()
    pair[0].close()
    assert pair[0].fileno() == -1
    with pytest.raises(DeviceError, match="channel vehicle is closed"):
        pair[0].send(1, b"")


def test_an_unknown_interface_lists_the_near_ones() -> None:
    with pytest.raises(ConfigError) as error:
        open_channel(CanChannelSettings(name="vehicle", interface="sockectcan", channel="can0"))
    assert error.value.hint is not None
    assert '"socketcan"' in error.value.hint


def test_an_absent_device_is_an_error_with_the_command_that_shows_it() -> None:
    with pytest.raises(DeviceError) as error:
        open_channel(CanChannelSettings(name="vehicle", interface="socketcan", channel="nocan7"))
    assert "cannot open channel vehicle (socketcan nocan7)" in error.value.message
    assert error.value.hint is not None
    assert "udp_multicast" in error.value.hint or "ip -br link show" in error.value.hint


def test_without_python_can_the_error_names_the_extra(
    virtual: CanChannelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def without_can(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "can":
            raise ImportError(name)
        return real_import(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without_can)
    with pytest.raises(DeviceError) as error:
        open_channel(virtual)
    assert error.value.hint == 'pip install "cardan[can]"'


def test_the_bench_bus_is_opened_on_our_own_sockets(free_port: int) -> None:
    channel = open_channel(CanChannelSettings(name="vehicle", port=free_port))
    assert isinstance(channel, LoopbackChannel)
    assert select.select([channel.fileno()], [], [], 0)[0] == []
    channel.close()
