from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import msgspec
import pytest

from cardan.drivers.can import receiver as receiver_module
from cardan.drivers.can import watched as watched_module
from cardan.drivers.can.channel import ChannelCounters
from cardan.drivers.can.loopback import LoopbackChannel
from cardan.drivers.can.receiver import CanReceiver, CanReceiverConfig
from cardan.runtime.can_health import CanChannelHealth, CanLink
from cardan.runtime.clock import Clock
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.testing import Bench

Settings = Callable[..., CanChannelSettings]


class Car:
    """A bench with a receiver on two channels, and a sender on each."""

    def __init__(self, bench: Bench[CanReceiver], vehicle: LoopbackChannel, radar: LoopbackChannel) -> None:
        self.bench = bench
        self.vehicle = vehicle
        self.radar = radar

    def step(self) -> None:
        """Step once the frames that were sent are there."""
        select.select([self.bench.node._wake_descriptors[0]], [], [], 1.0)
        self.bench.step()

    def frames(self) -> list[CanFrame]:
        return [frame for sample in self.bench.sent("frames") for frame in sample.value.frames]


@pytest.fixture
def car(bench_settings: Settings) -> Iterator[Car]:
    channels = {"vehicle": bench_settings("vehicle"), "radar": bench_settings("radar", group="239.74.163.3")}
    with ExitStack() as stack:
        bench = stack.enter_context(Bench(CanReceiver, can_channels=channels))
        senders = [LoopbackChannel(settings, listen=False) for settings in channels.values()]
        for sender in senders:
            stack.callback(sender.close)
        yield Car(bench, *senders)


class FlakyChannel:
    """A channel of a device that can be pulled and put back; it hands out one frame a batch while it is there."""

    plugged = True

    def __init__(self, settings: CanChannelSettings, clock: Clock) -> None:
        if not FlakyChannel.plugged:
            raise DeviceError("no such device")
        self.name = settings.name
        self.counters = ChannelCounters()
        self._clock = clock
        self.closed = False

    def send(self, frame_id: int, data: bytes, *, extended: bool = False, fd: bool = False, error: bool = False) -> int:
        raise DeviceError("listens only")

    def receive_batch(self, limit: int = 256) -> list[CanFrame]:
        if self.closed or not FlakyChannel.plugged:
            raise DeviceError("channel vehicle is gone: Network is down")
        return [CanFrame(self.name, 1, b"", self._clock.now_ns())]

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.closed = True


def flaky_channel(settings: CanChannelSettings, clock: Clock | None = None, *, listen: bool = True) -> FlakyChannel:
    assert clock is not None
    return FlakyChannel(settings, clock)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench[CanReceiver]]:
    monkeypatch.setattr(FlakyChannel, "plugged", True)
    monkeypatch.setattr(receiver_module, "open_channel", flaky_channel)
    with Bench(CanReceiver, can_channels={"vehicle": CanChannelSettings(name="vehicle")}) as bench:
        yield bench


def test_frames_of_all_channels_are_published_as_one_batch(car: Car) -> None:
    car.vehicle.send(0x25, b"\x01")
    car.radar.send(0x210, b"\x02")
    car.step()
    assert sorted((frame.channel, frame.id, frame.data) for frame in car.frames()) == [
        ("radar", 0x210, b"\x02"),
        ("vehicle", 0x25, b"\x01"),
    ]
    (sample,) = car.bench.sent("frames")
    stamps = [frame.stamp_ns for frame in sample.value.frames]
    assert stamps == sorted(stamps)
    assert sample.origin_ns == stamps[-1]


def test_every_frame_is_counted_and_an_empty_bus_publishes_nothing(car: Car) -> None:
    for number in range(300):
        car.vehicle.send(number, b"")
    car.step()
    car.step()
    car.bench.step(5)
    assert [frame.id for frame in car.frames()] == list(range(300))
    assert [len(sample.value.frames) for sample in car.bench.sent("frames")] == [256, 44]
    assert car.bench.metric("frames_carried") == (2, 300)
    assert car.bench.metric("frames_dropped") == (0, 0)


def test_traffic_wakes_the_node_until_it_is_drained(car: Car) -> None:
    (descriptor,) = car.bench.node._wake_descriptors
    assert select.select([descriptor], [], [], 0)[0] == []
    for _ in range(300):
        car.radar.send(1, b"")
    assert select.select([descriptor], [], [], 1.0)[0]
    car.bench.step()
    assert select.select([descriptor], [], [], 0)[0]
    car.bench.step()
    assert select.select([descriptor], [], [], 0)[0] == []


def test_a_channel_that_falls_silent_is_reported_once_by_name(car: Car, caplog: pytest.LogCaptureFixture) -> None:
    car.vehicle.send(1, b"")
    car.step()
    car.bench.clock.advance_s(0.45)
    car.bench.step()
    assert car.bench.fault is None
    car.bench.clock.advance_s(0.1)
    car.bench.step(10)
    assert car.bench.fault is not None
    assert car.bench.fault[1:] == (
        "can-silent",
        "no frame on channel vehicle (udp_multicast 239.74.163.2) for 0.5 s - does anything send on it?",
    )
    assert caplog.text.count("can-silent") == 1


def test_a_second_silence_is_reported_again(car: Car, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        car.vehicle.send(1, b"")
        car.step()
        car.bench.clock.advance_s(1.0)
        car.bench.step(3)
    assert caplog.text.count("no frame on channel vehicle") == 2


def test_a_channel_has_longer_for_its_first_frame(car: Car) -> None:
    car.bench.clock.advance_s(4.9)
    car.bench.step()
    assert car.bench.fault is None
    car.bench.clock.advance_s(0.2)
    car.bench.step()
    assert car.bench.fault is not None
    assert "for 5 s" in car.bench.fault[2]


def test_a_silent_real_bus_names_the_command_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlakyChannel, "plugged", True)
    monkeypatch.setattr(FlakyChannel, "receive_batch", lambda self, limit: [])
    monkeypatch.setattr(receiver_module, "open_channel", flaky_channel)
    channels = {"radar": CanChannelSettings(name="radar", interface="socketcan", channel="can1")}
    with Bench(CanReceiver, can_channels=channels) as bench:
        bench.clock.advance_s(6.0)
        bench.step()
        assert bench.fault is not None
        assert bench.fault[2].endswith("is it powered? try `candump can1`")


def test_a_controller_in_trouble_is_one_fault_until_traffic_flows_again(
    car: Car, caplog: pytest.LogCaptureFixture
) -> None:
    bus_off = bytes([0, 0, 0, 0, 0, 0, 248, 0])
    for _ in range(3):
        car.vehicle.send(0x240, bus_off, error=True)
        car.step()
    assert caplog.text.count("can-controller") == 1
    assert "reports bus-off (TEC 248, REC 0)" in caplog.text
    car.vehicle.send(0x123, b"")
    car.step()
    car.vehicle.send(0x240, bus_off, error=True)
    car.step()
    assert caplog.text.count("can-controller") == 2


def test_a_single_disturbed_frame_is_no_fault_and_error_frames_are_no_traffic(car: Car) -> None:
    car.bench.clock.advance_s(4.9)
    car.vehicle.send(0x088, bytes(8), error=True)
    car.step()
    assert car.bench.fault is None
    car.bench.clock.advance_s(0.2)
    car.bench.step()
    assert car.bench.fault is not None
    assert car.bench.fault[1] == "can-silent"


def test_dropped_frames_are_counted_and_reported_once(car: Car, caplog: pytest.LogCaptureFixture) -> None:
    (watched, _) = car.bench.node._channels
    assert watched.channel is not None
    watched.dropped = -7  # as if the kernel had dropped 7 since the last look
    car.bench.step(3)
    assert car.bench.metric("frames_dropped") == (1, 7)
    assert caplog.text.count("7 frames of channel vehicle") == 1


def test_a_channel_that_vanishes_is_one_fault_and_comes_back_by_itself(
    flaky: Bench[CanReceiver], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky.step()
    monkeypatch.setattr(FlakyChannel, "plugged", False)
    flaky.step(350)
    assert caplog.text.count("can-gone") == 1
    assert flaky.fault is not None
    assert "channel vehicle is gone: Network is down" in flaky.fault[2]
    carried = flaky.metric("frames_carried")
    assert carried == (1, 1)
    monkeypatch.setattr(FlakyChannel, "plugged", True)
    flaky.step(110)
    assert flaky.metric("frames_carried")[0] > carried[0]


def test_the_other_channels_go_on_while_one_is_gone(car: Car) -> None:
    watched = car.bench.node._channels[0]
    assert watched.channel is not None
    watched.channel.close()
    car.radar.send(5, b"")
    car.step()
    assert [frame.channel for frame in car.frames()] == ["radar"]
    car.bench.clock.advance_s(1.0)
    car.bench.step()
    car.vehicle.send(6, b"")
    car.step()
    assert car.frames()[-1].channel == "vehicle"


def test_only_the_channels_in_the_config_are_opened(bench_settings: Settings) -> None:
    channels = {"vehicle": bench_settings("vehicle"), "radar": bench_settings("radar", group="239.74.163.3")}
    with Bench(CanReceiver, config=CanReceiverConfig(channels=("radar",)), can_channels=channels) as bench:
        assert [watched.settings.name for watched in bench.node._channels] == ["radar"]


def test_a_channel_that_the_profile_lacks_is_an_error_with_the_near_name(bench_settings: Settings) -> None:
    config = CanReceiverConfig(channels=("vehicel",))
    bench = Bench(CanReceiver, config=config, can_channels={"vehicle": bench_settings()}, open_node=False)
    with bench, pytest.raises(ConfigError) as error:
        bench.node.open()
    assert error.value.hint == 'did you mean "vehicle"?'


def test_a_channel_that_cannot_be_opened_at_the_start_ends_the_node(bench_settings: Settings) -> None:
    channels = {
        "vehicle": bench_settings(),
        "radar": CanChannelSettings(name="radar", interface="socketcan", channel="x"),
    }
    with Bench(CanReceiver, can_channels=channels, open_node=False) as bench:
        with pytest.raises(DeviceError, match="cannot open channel radar"):
            bench.node.open()


@pytest.mark.parametrize("field", ["silence_s", "first_frame_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_silence_limit_that_means_nothing_is_refused(field: str, value: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({field: value}, type=CanReceiverConfig)


def newest_health(bench: Bench[CanReceiver]) -> list[CanChannelHealth]:
    channels: list[CanChannelHealth] = bench.sent("health")[-1].value.channels
    return channels


def test_the_health_of_every_channel_is_told_once_a_second(car: Car) -> None:
    car.vehicle.send(0x25, b"\x01")
    car.vehicle.send(0x40 | 0x200, bytes([0, 0, 0, 0, 0, 0, 248, 0]), error=True)
    car.step()
    car.bench.step(50)
    assert len(car.bench.sent("health")) == 1
    car.bench.clock.advance_s(1.0)
    car.bench.step()
    assert len(car.bench.sent("health")) == 2
    vehicle, radar = newest_health(car.bench)
    assert (vehicle.channel, vehicle.received, vehicle.error_frames) == ("vehicle", 2, 1)
    assert vehicle.newest_error == "bus-off (TEC 248, REC 0)"
    assert vehicle.trouble == "the controller reports bus-off (TEC 248, REC 0)"
    assert (radar.received, radar.trouble, radar.link) == (0, "", None)


def test_a_channel_in_trouble_says_so_until_it_is_over(flaky: Bench[CanReceiver]) -> None:
    flaky.step()
    assert newest_health(flaky)[0].trouble == ""
    FlakyChannel.plugged = False
    flaky.clock.advance_s(1.0)
    flaky.step()
    assert newest_health(flaky)[0].trouble == "it cannot be opened"
    FlakyChannel.plugged = True
    flaky.clock.advance_s(1.1)
    flaky.step()
    assert newest_health(flaky)[0].trouble == ""


def test_a_socketcan_channel_carries_what_the_kernel_says_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    link = CanLink(name="can0", kind="can", up=True, carries_fd=False, transmit_queue_frames=128, bus_state="BUS-OFF")
    monkeypatch.setattr(FlakyChannel, "plugged", True)
    monkeypatch.setattr(receiver_module, "open_channel", flaky_channel)
    monkeypatch.setattr(watched_module, "read_link_or_none", lambda name: link if name == "can0" else None)
    settings = CanChannelSettings(name="vehicle", interface="socketcan", channel="can0")
    with Bench(CanReceiver, can_channels={"vehicle": settings}) as bench:
        bench.step()
        assert newest_health(bench)[0].link == link


def test_a_kernel_that_does_not_tell_does_not_stop_the_reception(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise DeviceError("not told")

    monkeypatch.setattr(FlakyChannel, "plugged", True)
    monkeypatch.setattr(receiver_module, "open_channel", flaky_channel)
    monkeypatch.setattr(watched_module, "read_link_or_none", refuse)
    settings = CanChannelSettings(name="vehicle", interface="socketcan", channel="can0")
    with Bench(CanReceiver, can_channels={"vehicle": settings}) as bench:
        bench.step()
        assert newest_health(bench)[0].link is None
        assert bench.sent("frames")
