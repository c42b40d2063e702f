from __future__ import annotations

import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import can
import pytest
from can.interfaces.udp_multicast.utils import pack_message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardan.drivers.can import receive_buffer
from cardan.drivers.can.loopback import LoopbackChannel
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

Settings = Callable[..., CanChannelSettings]
Open = Callable[..., LoopbackChannel]


@pytest.fixture
def open_bench(bench_settings: Settings) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_one(name: str = "vehicle", *, listen: bool = True, **changes: object) -> LoopbackChannel:
            channel = LoopbackChannel(bench_settings(name, **changes), listen=listen)
            stack.callback(channel.close)
            return channel

        yield open_one


def received(channel: LoopbackChannel, count: int = 1) -> list[CanFrame]:
    frames: list[CanFrame] = []
    while len(frames) < count and select.select([channel.fileno()], [], [], 1.0)[0]:
        frames += channel.receive_batch()
    return frames


def inject(channel_settings: CanChannelSettings, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        for datagram in datagrams:
            sender.sendto(datagram, (channel_settings.channel, channel_settings.port))


def test_everybody_else_on_the_channel_hears_a_frame_and_the_sender_does_not(open_bench: Open) -> None:
    sender, first, second = open_bench(), open_bench(), open_bench()
    before_ns = MonotonicClock().now_ns()
    sent_ns = sender.send(0x2E4, b"\x01\x02\x03")
    (frame,) = received(first)
    assert (frame.channel, frame.id, frame.data, frame.extended, frame.fd, frame.error) == (
        "vehicle", 0x2E4, b"\x01\x02\x03", False, False, False,
    )  # fmt: skip
    assert before_ns <= sent_ns <= frame.stamp_ns <= MonotonicClock().now_ns()
    assert received(second) == [frame] or second.counters.received == 1
    assert sender.receive_batch() == []
    assert (sender.counters.sent, sender.counters.received, first.counters.received) == (1, 0, 1)


def test_frames_of_every_kind_arrive_as_they_were_sent_and_in_order(open_bench: Open) -> None:
    sender, reader = open_bench(fd=True), open_bench(fd=True)
    sender.send(0x7FF, b"")
    sender.send(0x18DB33F1, b"12345678", extended=True)
    sender.send(0x123, bytes(64), fd=True)
    sender.send(0x004, bytes(8), error=True)
    frames = received(reader, 4)
    assert [(f.id, f.data, f.extended, f.fd, f.error) for f in frames] == [
        (0x7FF, b"", False, False, False),
        (0x18DB33F1, b"12345678", True, False, False),
        (0x123, bytes(64), False, True, False),
        (0x004, bytes(8), False, False, True),
    ]
    assert [f.stamp_ns for f in frames] == sorted(f.stamp_ns for f in frames)


def test_channels_with_another_group_do_not_hear_each_other(open_bench: Open) -> None:
    vehicle, radar = open_bench(), open_bench("radar", group="239.74.163.3")
    listener = open_bench()
    vehicle.send(1, b"")
    assert len(received(listener)) == 1
    assert radar.receive_batch() == []


def test_a_limit_leaves_the_rest_for_the_next_batch(open_bench: Open) -> None:
    sender, reader = open_bench(), open_bench()
    for number in range(10):
        sender.send(number, b"")
    assert select.select([reader.fileno()], [], [], 1.0)[0]
    assert [frame.id for frame in reader.receive_batch(limit=4)] == [0, 1, 2, 3]
    assert [frame.id for frame in received(reader, 6)] == [4, 5, 6, 7, 8, 9]


def test_a_burst_of_5000_frames_waits_for_a_slow_reader(open_bench: Open) -> None:
    sender, reader = open_bench(listen=False), open_bench()
    for number in range(5000):
        sender.send(number % 0x800, number.to_bytes(8, "big"))
    assert [int.from_bytes(frame.data, "big") for frame in received(reader, 5000)] == list(range(5000))
    assert reader.counters.receive_dropped == 0


def test_frames_that_the_kernel_drops_are_counted(open_bench: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive_buffer, "RECEIVE_BUFFER_BYTES", 16_000)
    sender, reader = open_bench(listen=False), open_bench()
    for _ in range(200):
        sender.send(1, bytes(8))
    kept = len(received(reader)) + len(reader.receive_batch())
    assert 0 < kept < 200
    assert reader.counters.receive_dropped == 200 - kept


def test_datagrams_that_are_no_frame_are_counted_and_passed_over(open_bench: Open, bench_settings: Settings) -> None:
    reader = open_bench()
    too_long = pack_message(can.Message(arbitration_id=1, data=bytes(8))).replace(b"\xc4\x08", b"\xc4\x09") + b"\0"
    long_id = pack_message(can.Message(arbitration_id=0x800, is_extended_id=False))
    good = pack_message(can.Message(arbitration_id=1, is_extended_id=False))
    inject(bench_settings(), b"", b"\xc1", b"hello", too_long, long_id, good)
    assert [frame.id for frame in received(reader)] == [1]
    assert reader.counters.malformed == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300))
def test_no_datagram_can_break_the_reader(open_bench: Open, bench_settings: Settings, noise: bytes) -> None:
    reader = open_bench()
    inject(bench_settings(), noise, pack_message(can.Message(arbitration_id=5, is_extended_id=False)))
    assert received(reader)[-1].id == 5
    reader.close()


def test_remote_frames_and_unexpected_fd_frames_are_counted_as_ignored(
    open_bench: Open, bench_settings: Settings
) -> None:
    reader = open_bench()
    messages = [
        can.Message(arbitration_id=1, is_remote_frame=True, dlc=8, is_extended_id=False),
        can.Message(arbitration_id=2, is_fd=True, data=bytes(12), is_extended_id=False),
        can.Message(arbitration_id=3, is_extended_id=False),
    ]
    inject(bench_settings(), *map(pack_message, messages))
    assert [frame.id for frame in received(reader)] == [3]
    assert reader.counters.ignored == 2


@given(
    frame_id=st.integers(0, 0x7FF),
    extended=st.booleans(),
    fd=st.booleans(),
    error=st.booleans(),
    data=st.binary(max_size=8),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_python_can_packs_is_what_we_read(
    open_bench: Open, bench_settings: Settings, frame_id: int, extended: bool, fd: bool, error: bool, data: bytes
) -> None:
    reader = open_bench(fd=True)
    message = can.Message(
        arbitration_id=frame_id, is_extended_id=extended, is_fd=fd, is_error_frame=error, data=data, channel="tool"
    )
    inject(bench_settings(), pack_message(message))
    (frame,) = received(reader)
    assert (frame.id, frame.data, frame.extended, frame.fd, frame.error) == (frame_id, data, extended, fd, error)
    reader.close()


def test_python_can_itself_hears_what_we_send(open_bench: Open, bench_settings: Settings) -> None:
    sender, listener = open_bench(fd=True), open_bench(fd=True)
    at = bench_settings()
    try:
        bus = can.Bus(interface="udp_multicast", channel=at.channel, port=at.port, ignore_config=True)
    except can.CanInitializationError:
        pytest.skip("python-can opens its bus only on a computer with a network")
    with bus:
        sender.send(0x123, bytes(range(12)), fd=True)
        sender.send(0x18DB33F1, b"\x02", extended=True)
        heard = [bus.recv(1.0), bus.recv(1.0)]
    assert len(received(listener, 2)) == 2
    assert [(m.arbitration_id, bytes(m.data), m.is_extended_id, m.is_fd) for m in heard if m is not None] == [
        (0x123, bytes(range(12)), False, True),
        (0x18DB33F1, b"\x02", True, False),
    ]


def test_a_channel_for_sending_only_has_nothing_to_wait_for(open_bench: Open) -> None:
    sender = open_bench(listen=False)
    assert (sender.fileno(), sender.receive_buffer_bytes) == (-1, 0)
    with pytest.raises(DeviceError, match="sending only"):
        sender.receive_batch()


def test_the_receive_buffer_was_raised_and_read_back(open_bench: Open) -> None:
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    assert open_bench().receive_buffer_bytes >= min(2 * limit, receive_buffer.RECEIVE_BUFFER_BYTES)


def test_a_small_receive_buffer_is_a_warning_that_names_the_system_setting(
    open_bench: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(receive_buffer, "RECEIVE_BUFFER_BYTES", 2**31 - 1)
    open_bench()
    assert "net.core.rmem_max" in caplog.text


def test_a_closed_channel_says_so_and_may_be_closed_again(open_bench: Open) -> None:
    channel = open_bench()
    channel.close()
    channel.close()
    for use in (lambda: channel.send(1, b""), channel.receive_batch):
        with pytest.raises(DeviceError, match="channel vehicle is closed"):
            use()


@pytest.mark.parametrize("group", ["can0", "127.0.0.1", "ff15::1", "240.0.0.1", ""])
def test_what_is_no_multicast_group_is_refused(group: str, bench_settings: Settings) -> None:
    with pytest.raises(ConfigError, match="no IPv4 multicast group"):
        LoopbackChannel(bench_settings(group=group))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_nobody_chose_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match="UDP port"):
        LoopbackChannel(CanChannelSettings(name="vehicle", port=port))


OFFLINE = """
import select
from cardan.drivers.can.loopback import LoopbackChannel
from cardan.runtime.profile import CanChannelSettings
settings = CanChannelSettings(name="vehicle", port=43113)
one, two = LoopbackChannel(settings), LoopbackChannel(settings)
one.send(0x7FF, b"offline")
select.select([two.fileno()], [], [], 2.0)
print(two.receive_batch()[0].data)
one.close(); two.close()
"""


@pytest.mark.slow
def test_it_works_on_a_computer_with_nothing_but_a_loopback_interface() -> None:
    isolate = [shutil.which("unshare") or "unshare", "--map-root-user", "--net", "--"]
    if shutil.which("ip") is None or subprocess.run([*isolate, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs `ip` and the right to make a network namespace")
    script = f"ip link set lo up && exec {sys.executable} -c '{OFFLINE}'"
    run = subprocess.run([*isolate, "sh", "-c", script], capture_output=True, text=True, timeout=20)
    assert (run.stdout.strip(), run.stderr) == ("b'offline'", "")
