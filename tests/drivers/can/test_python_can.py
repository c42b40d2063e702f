from __future__ import annotations

import builtins
import gc
import os
import select
import tty
from collections.abc import Iterator
from typing import Any

import can
import pytest
from can.interfaces.virtual import VirtualBus

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.python_can import NEEDS, PythonCanChannel
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.messages import CanFrame
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
    assert 'interface "virtual" needs python-can' in error.value.message
    assert error.value.hint == 'pip install "cardan[can]"'


NO_DEVICE = sorted(set(can.VALID_INTERFACES) - {"socketcan", "udp_multicast", "virtual"})


def refusal(settings: CanChannelSettings) -> tuple[str, str]:
    """What opening the channel says. The half-made buses of python-can complain when they are collected: here."""
    try:
        open_channel(settings)
    except DeviceError as error:
        said = error.message, error.hint or ""
    gc.collect()
    return said


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("interface", NO_DEVICE)
def test_an_interface_whose_adapter_or_library_is_absent_is_one_error_that_names_it(interface: str) -> None:
    message, hint = refusal(CanChannelSettings(name="vehicle", interface=interface, channel="0"))
    assert message.startswith(f"cannot open channel vehicle ({interface} 0): ")
    assert "\n" not in message
    assert hint


def test_what_an_interface_needs_is_known_under_the_names_of_python_can() -> None:
    assert set(NEEDS) <= set(can.VALID_INTERFACES)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interface_that_wants_more_settings_says_where_to_give_them() -> None:
    message, hint = refusal(CanChannelSettings(name="vehicle", interface="socketcand", channel="can0"))
    assert "'host' and 'port'" in message
    assert "options = { ... } in [can.vehicle]" in hint


# ----------------------------------------------------------------------------------- a serial adapter, played on a pty


@pytest.fixture
def adapter() -> Iterator[tuple[int, CanChannelSettings]]:
    """The adapter's end of a serial line, and the settings of the channel at the other end."""
    ours, theirs = os.openpty()
    tty.setraw(ours)
    device = os.ttyname(theirs)
    options: dict[str, str | int | float | bool] = {"sleep_after_open": 0, "tty_baudrate": 1_000_000}
    yield ours, CanChannelSettings(name="vehicle", interface="slcan", channel=device, options=options)
    os.close(ours)
    os.close(theirs)


def said_to(adapter: int, ends_with: bytes) -> bytes:
    said = b""
    while not said.endswith(ends_with) and select.select([adapter], [], [], 5)[0]:
        said += os.read(adapter, 4096)
    return said


def test_a_serial_adapter_is_configured_and_carries_frames_both_ways(adapter: tuple[int, CanChannelSettings]) -> None:
    line, settings = adapter
    channel = open_channel(settings)
    channel.send(0x123, b"\x01\x02")
    channel.send(0x18DB33F1, b"", extended=True)
    commands = said_to(line, b"T18DB33F10\r").split()
    assert list(dict.fromkeys(commands)) == [b"C", b"S6", b"O", b"t12320102", b"T18DB33F10"]  # S6: 500 kbit/s
    os.write(line, b"t4563AABBCC\rT1ABCDEF01FF\r")
    frames: list[CanFrame] = []
    while len(frames) < 2 and select.select([channel.fileno()], [], [], 5)[0]:
        frames += channel.receive_batch()
    channel.close()
    assert said_to(line, b"C\r").endswith(b"C\r")
    assert [(frame.id, frame.data.hex(), frame.extended) for frame in frames] == [
        (0x456, "aabbcc", False),
        (0x1ABCDEF0, "ff", True),
    ]
