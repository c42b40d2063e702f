from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from cardan.drivers.can.candump import CandumpError, LoggedFrame, format_line, read_candump, write_candump
from cardan.drivers.can.loopback import LoopbackChannel
from cardan.drivers.can.receiver import CanReceiver, CanReceiverConfig
from cardan.drivers.can.replay import BURST_LIMIT, CandumpReplay, CandumpReplayConfig
from cardan.runtime.clock import NS_PER_S, MonotonicClock
from cardan.runtime.data import find_data
from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.testing import Bench

Settings = Callable[..., CanChannelSettings]
MAPPING = {"can0": "vehicle", "can1": "radar"}
STEP_NS = 2_000_000


def logged(at_ms: float, frame_id: int, data: bytes = b"", device: str = "can0") -> LoggedFrame:
    return LoggedFrame(frame=CanFrame(device, frame_id, data, 46_408 * NS_PER_S + round(at_ms * 1e6)))


@pytest.fixture
def channels(bench_settings: Settings) -> dict[str, CanChannelSettings]:
    return {"vehicle": bench_settings("vehicle"), "radar": bench_settings("radar", group="239.74.163.3")}


class Replay:
    """A replay on a fake clock, and a reader on each of its channels."""

    def __init__(self, bench: Bench[CandumpReplay], readers: dict[str, LoopbackChannel]) -> None:
        self.bench = bench
        self.readers = readers

    def heard(self, channel: str = "vehicle") -> list[int]:
        """Identifiers that arrived since the last look."""
        return [frame.id for frame in self.readers[channel].receive_batch(10_000)]

    def step_until_finished(self, at_most: int) -> int:
        for count in range(at_most):
            if self.bench.finished:
                return count
            self.bench.step()
        raise TimeoutError("the replay did not finish")


@pytest.fixture
def start(tmp_path: Path, channels: dict[str, CanChannelSettings]) -> Iterator[Callable[..., Replay]]:
    with ExitStack() as stack:

        def start_one(*frames: LoggedFrame, speed: float = 1.0, loop: bool = False) -> Replay:
            write_candump(tmp_path / "drive.log", frames)
            config = CandumpReplayConfig(path="drive.log", channels=MAPPING, speed=speed, loop=loop)
            readers = {name: LoopbackChannel(settings) for name, settings in channels.items()}
            for reader in readers.values():
                stack.callback(reader.close)
            bench = Bench(CandumpReplay, config=config, manifest_dir=tmp_path, can_channels=channels)
            return Replay(stack.enter_context(bench), readers)

        yield start_one


def test_each_frame_is_sent_at_its_time_and_not_before(start: Callable[..., Replay]) -> None:
    replay = start(logged(0, 1), logged(3.9, 2), logged(4, 3), logged(4.1, 4))
    replay.bench.step()
    assert replay.heard() == [1]
    replay.bench.step()
    assert replay.heard() == []
    replay.bench.step()
    assert replay.heard() == [2, 3]
    replay.bench.step()
    assert replay.heard() == [4]


def test_devices_go_to_their_channels_and_others_are_left_out(
    start: Callable[..., Replay], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    remote = LoggedFrame(frame=CanFrame("can0", 5, b"", 46_408 * NS_PER_S), remote=True)
    replay = start(logged(0, 1), logged(0, 2, device="can1"), logged(0, 3, device="can2"), remote)
    replay.step_until_finished(1000)
    assert (replay.heard("vehicle"), replay.heard("radar")) == ([1], [2])
    assert "sent 2 frames, left out 2, failed 0" in caplog.text
    assert replay.bench.metric("frames_sent") == (1, 2)


def test_frames_of_every_kind_arrive_as_they_were_recorded(start: Callable[..., Replay]) -> None:
    replay = start(
        LoggedFrame(frame=CanFrame("can0", 0x18DB33F1, b"\x02\x01", 0, True)),
        LoggedFrame(frame=CanFrame("can0", 0x4, bytes(8), 0, error=True)),
    )
    replay.bench.step()
    frames = replay.readers["vehicle"].receive_batch()
    assert [(f.id, f.data, f.extended, f.error) for f in frames] == [
        (0x18DB33F1, b"\x02\x01", True, False),
        (0x4, bytes(8), False, True),
    ]


@pytest.mark.parametrize(("speed", "steps"), [(1.0, 501), (2.0, 251), (0.5, 1001)])
def test_speed_scales_the_time_between_frames(start: Callable[..., Replay], speed: float, steps: int) -> None:
    replay = start(logged(0, 1), logged(1000, 2), speed=speed)
    replay.bench.step(steps - 1)
    assert replay.heard() == [1]
    replay.bench.step()
    assert replay.heard() == [2]


def test_it_finishes_half_a_second_after_the_last_frame(start: Callable[..., Replay]) -> None:
    replay = start(logged(0, 1), logged(10, 2))
    assert 250 <= replay.step_until_finished(1000) <= 260
    assert replay.bench.fault is None


def test_after_a_stall_it_sends_what_is_due_in_bounded_bursts(start: Callable[..., Replay]) -> None:
    replay = start(*(logged(0.1 * number, number % 0x800) for number in range(BURST_LIMIT + 500)))
    replay.bench.step()
    replay.bench.clock.advance_s(10.0)
    replay.bench.step()
    assert len(replay.heard()) == BURST_LIMIT + 1
    replay.bench.step()
    assert len(replay.heard()) == 499
    assert replay.bench.metric("lateness")[1] > 9.9


def test_a_loop_goes_on_without_end_and_keeps_its_pace(start: Callable[..., Replay]) -> None:
    replay = start(logged(0, 1), logged(9, 2), loop=True)
    replay.bench.step(1000)
    assert not replay.bench.finished
    heard = replay.heard()
    assert 199 * 2 <= len(heard) <= 201 * 2
    assert heard == ([1, 2] * 201)[: len(heard)]


def test_a_frame_that_the_channel_refuses_is_one_fault_and_the_rest_goes_on(start: Callable[..., Replay]) -> None:
    fd = LoggedFrame(frame=CanFrame("can0", 7, bytes(12), 46_408 * NS_PER_S, fd=True))
    replay = start(fd, fd, logged(0, 1))
    replay.bench.step()
    assert replay.heard() == [1]
    assert replay.bench.fault is not None
    assert replay.bench.fault[1:] == (
        "replay-failed",
        "channel vehicle: frame 0x7 is CAN FD, the channel is not - set fd = true in [can.vehicle] of the profile",
    )


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (CandumpReplayConfig(), "one recording"),
        (CandumpReplayConfig(data="minute", path="drive.log"), "one recording"),
        (CandumpReplayConfig(path="absent.log"), "no recording at"),
        (CandumpReplayConfig(data="no_such_data"), 'no data "no_such_data"'),
        (CandumpReplayConfig(path="empty.log"), "has no frames"),
        (CandumpReplayConfig(path="broken.log"), "broken.log:1: not a candump line"),
        (CandumpReplayConfig(path="good.log", channels={"can0": "radr"}), 'no CAN channel "radr"'),
    ],
)
def test_what_cannot_be_replayed_is_an_error_before_the_start(
    config: CandumpReplayConfig, text: str, tmp_path: Path, channels: dict[str, CanChannelSettings]
) -> None:
    (tmp_path / "empty.log").touch()
    (tmp_path / "broken.log").write_text("hello\n")
    write_candump(tmp_path / "good.log", [logged(0, 1)])
    bench = Bench(CandumpReplay, config=config, manifest_dir=tmp_path, can_channels=channels, open_node=False)
    with bench, pytest.raises(CardanError) as error:
        bench.node.open()
    assert text in str(error.value)
    assert error.value.hint is not None or "no frames" in text
    if "absent" in text or "no_such" in text:
        assert "README" in str(error.value)


def test_a_recording_that_breaks_in_the_middle_ends_the_node_with_file_and_line(
    tmp_path: Path, start: Callable[..., Replay]
) -> None:
    replay = start(logged(0, 1), logged(0, 2))
    with (tmp_path / "drive.log").open("a") as stream:
        stream.write("(1.0) can0 oops\n")
    with pytest.raises(CandumpError, match=r"drive\.log:3"):
        replay.bench.step()


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_speed_that_means_nothing_is_refused(speed: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"speed": speed}, type=CandumpReplayConfig)


REPLAY_IN_REAL_TIME = """
import json, sys
from pathlib import Path
import msgspec
from cardan.drivers.can.replay import CandumpReplay, CandumpReplayConfig
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.testing import Bench

settings = json.loads(sys.argv[1])
channels = msgspec.convert(settings["channels"], dict[str, CanChannelSettings])
config = msgspec.convert(settings["config"], CandumpReplayConfig)
bench = Bench(CandumpReplay, config=config, manifest_dir=Path("/"), can_channels=channels, open_node=False)
clock = bench.node.clock = MonotonicClock()
with bench:
    bench.node.open()
    deadline_ns = clock.now_ns()
    while not bench.finished:
        clock.sleep_until_ns(deadline_ns)
        bench.node.step()
        deadline_ns += 2_000_000
    print(json.dumps(bench.metric("frames_sent")[1]))
"""


def carried_in_real_time(config: CandumpReplayConfig, channels: dict[str, CanChannelSettings]) -> list[CanFrame]:
    """What a receiver in this process gets from a replay in another process, both on the real clock."""
    settings = {"config": msgspec.to_builtins(config), "channels": msgspec.to_builtins(channels)}
    with ExitStack() as stack:
        receiver = Bench(CanReceiver, config=CanReceiverConfig(), can_channels=channels, open_node=False)
        stack.enter_context(receiver)
        receiver.node.clock = MonotonicClock()
        receiver.node.open()
        command = [sys.executable, "-c", REPLAY_IN_REAL_TIME, json.dumps(settings)]
        replay = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(replay.kill)
        descriptor = receiver.node._wake_descriptors[0]
        while replay.poll() is None or select.select([descriptor], [], [], 0)[0]:
            if select.select([descriptor], [], [], 0.05)[0]:
                receiver.node.step()
        assert replay.stdout is not None
        frames = [frame for sample in receiver.sent("frames") for frame in sample.value.frames]
        assert json.loads(replay.stdout.read()) == len(frames) == receiver.metric("frames_carried")[1]
        assert receiver.metric("frames_dropped") == (0, 0)
        assert receiver.fault is None
        return frames


@pytest.mark.slow
def test_no_frame_of_a_busy_bus_is_lost_between_two_processes(
    tmp_path: Path, channels: dict[str, CanChannelSettings]
) -> None:
    """Five seconds at the density of a real highway drive (2258 frames/s on two channels), twice as fast."""
    count = 5 * 2258
    recorded = [
        logged(number / 2.258, number % 0x800, number.to_bytes(8, "big"), f"can{number % 2}") for number in range(count)
    ]
    path = tmp_path / "drive.log.gz"
    write_candump(path, recorded)
    frames = carried_in_real_time(CandumpReplayConfig(path=str(path), channels=MAPPING, speed=2.0), channels)
    for device, name in MAPPING.items():
        sent = [(item.frame.id, item.frame.data) for item in recorded if item.frame.channel == device]
        assert [(frame.id, frame.data) for frame in frames if frame.channel == name] == sent
    taken_s = (frames[-1].stamp_ns - frames[0].stamp_ns) / NS_PER_S
    assert 2.4 < taken_s < 4.0


@pytest.mark.slow
def test_every_line_of_the_recorded_minute_comes_back_as_it_was() -> None:
    try:
        path = find_data("rav4_minute", Path(__file__).parent) / "candump.log.gz"
    except ConfigError as error:
        pytest.skip(error.message)
    import gzip

    with gzip.open(path, "rt", encoding="ascii") as stream:
        count = 0
        for line, item in zip(stream, read_candump(path), strict=True):
            assert format_line(item) == line.rstrip("\n")
            count += 1
    assert count == 135_468
