"""The recorder: what was published is in the file, and no trouble with the disk leaves the recorder."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cardan.runtime.messages import BridgeVerdict, CameraFrame, CanFrame, CanFrames, Message
from cardan.runtime.record.files import recording_path, recording_paths
from cardan.runtime.record.mcap_file import counts_by_topic, read_messages, read_metadata
from cardan.runtime.record.mcap_writer import McapWriter
from cardan.runtime.record.policy import TopicPolicy
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.record.repair import is_finished, unfinished
from cardan.runtime.record.settings import RecorderConfig
from cardan.runtime.testing import Bench

TOPICS: dict[str, type[Message]] = {
    "camera/frame": CameraFrame,
    "can/frames": CanFrames,
    "bridge/verdict": BridgeVerdict,
}


def frames(count: int = 1) -> CanFrames:
    frame = CanFrame(channel="main", id=0x123, data=os.urandom(8), stamp_ns=1)
    return CanFrames(frames=[frame] * count)


def picture(frame_id: int) -> CameraFrame:
    return CameraFrame(frame_id=frame_id, image=np.full((24, 32, 3), frame_id, np.uint8))


def bench_with(data_dir: Path, config: RecorderConfig | None = None) -> Bench[Recorder]:
    return Bench(Recorder, config=config, data_dir=data_dir, topics=TOPICS)


def step(bench: Bench[Recorder], count: int = 1) -> None:
    """Step, and let the disk have what was closed."""
    for _ in range(count):
        bench.step()
        assert bench.node.settle()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """While this lasts, the kernel refuses to let any file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_every_message_of_every_topic_is_in_the_file(tmp_path: Path) -> None:
    with bench_with(tmp_path) as bench:
        for index in range(20):
            bench.send("everything", frames(), topic="can/frames")
            bench.send("everything", frames(), topic="can/frames")
            bench.send("everything", picture(index), topic="camera/frame")
            step(bench)
        bench.send("everything", frames(), topic="can/frames")
    path = recording_path(tmp_path, "bench")
    assert counts_by_topic(path) == {"can/frames": 41, "camera/frame": 20}
    assert is_finished(path)


def test_the_envelope_and_the_stamps_are_recorded(tmp_path: Path) -> None:
    with bench_with(tmp_path) as bench:
        sent_ns = bench.clock.now_ns()
        bench.send("everything", frames(), topic="can/frames", valid=False, origin_ns=17)
        step(bench)
    (message,) = read_messages(recording_path(tmp_path, "bench"))
    assert b'"_envelope":{"origin_ns":17,"valid":false,"epoch":1}' in message.data
    assert message.sent_ns == sent_ns
    assert message.log_ns == sent_ns + 1_700_000_000 * 10**9
    assert message.type_name == "cardan.runtime.messages:CanFrames"


def test_the_file_says_which_run_it_belongs_to(tmp_path: Path) -> None:
    with bench_with(tmp_path):
        pass
    metadata = read_metadata(recording_path(tmp_path, "bench"))
    assert metadata["run_id"] == "bench"
    assert metadata["manifest"] == "bench.toml"
    assert metadata["wall_minus_monotonic_ns"] == str(1_700_000_000 * 10**9)


def test_a_jump_of_wall_time_does_not_reorder_a_recording(tmp_path: Path) -> None:
    with bench_with(tmp_path) as bench:
        for _ in range(4):
            bench.send("everything", frames(), topic="can/frames")
            step(bench)
            bench.clock.jump_wall_s(-86_400)
    stamps = [message.log_ns for message in read_messages(recording_path(tmp_path, "bench"))]
    assert stamps == sorted(stamps) and stamps[-1] - stamps[0] == 300_000_000


def test_no_message_is_older_than_a_quarter_second_when_its_chunk_is_closed(tmp_path: Path) -> None:
    with bench_with(tmp_path) as bench:
        for _ in range(25):
            bench.send("everything", frames(), topic="can/frames")
            bench.clock.advance_s(0.06)
            bench.send("everything", frames(), topic="can/frames")
            bench.clock.advance_s(-0.06)
            step(bench)
            on_disk = [message.sent_ns for message in read_messages(recording_path(tmp_path, "bench"))]
            oldest_missing_ns = bench.clock.now_ns() - (max(on_disk, default=bench.clock.now_ns()))
            assert oldest_missing_ns <= 250_000_000


def test_a_topic_is_thinned_out_to_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    with bench_with(tmp_path, RecorderConfig(topics={"camera/frame": TopicPolicy(rate_hz=5.0)})) as bench:
        for index in range(7):
            bench.send("everything", picture(index), topic="camera/frame")
            bench.send("everything", frames(), topic="can/frames")
            step(bench)
        assert bench.metric("dropped")[1] == 0
    assert counts_by_topic(recording_path(tmp_path, "bench")) == {"camera/frame": 4, "can/frames": 7}


def test_a_disk_that_refuses_stops_the_recording_counts_the_loss_and_recording_resumes(tmp_path: Path) -> None:
    with bench_with(tmp_path, RecorderConfig(retry_s=1.0)) as bench:
        for _ in range(10):
            bench.send("everything", frames(), topic="can/frames")
            step(bench)
        with largest_file(recording_path(tmp_path, "bench").stat().st_size):
            for _ in range(25):
                bench.send("everything", frames(), topic="can/frames")
                step(bench)
        assert bench.fault is not None and bench.fault[1] == "recorder-disk"
        for _ in range(15):
            bench.send("everything", frames(), topic="can/frames")
            step(bench)
        bench.node.close()
        saved, dropped = bench.metric("messages")[1], bench.metric("dropped")[1]
    parts = recording_paths(tmp_path, "bench")
    assert saved + dropped == 50
    assert saved <= counts_by_topic(*parts)["can/frames"] <= saved + 3  # a chunk of which only the index was refused
    assert 0 < dropped < 50
    assert unfinished(tmp_path / "recordings") == []


def test_a_folder_that_cannot_be_made_is_a_fault_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file is in the way")
    with bench_with(tmp_path, RecorderConfig(retry_s=0.3)) as bench:
        bench.send("everything", frames(), topic="can/frames")
        step(bench, 4)
        assert bench.fault is not None and "nothing is recorded" in bench.fault[2]
        assert bench.metric("dropped")[1] == 1
        (tmp_path / "recordings").unlink()
        step(bench, 4)
        bench.send("everything", frames(), topic="can/frames")
        step(bench)
    assert counts_by_topic(recording_path(tmp_path, "bench")) == {"can/frames": 1}


@pytest.mark.slow
def test_a_long_run_continues_in_parts_and_the_quota_takes_the_oldest(tmp_path: Path) -> None:
    config = RecorderConfig(file_bytes=1 << 16, quota_bytes=1 << 20, sync_s=0.1)
    sent = 0
    with bench_with(tmp_path, config) as bench:
        while len(recording_paths(tmp_path, "bench")) < 20 and sent < 10_000:
            noise = [CanFrame(channel="main", id=i, data=os.urandom(64), stamp_ns=i) for i in range(100)]
            bench.send("everything", CanFrames(frames=noise), topic="can/frames")
            step(bench)
            sent += 1
            if not recording_path(tmp_path, "bench").exists():
                break
    parts = recording_paths(tmp_path, "bench")
    assert parts[0] != recording_path(tmp_path, "bench")
    assert sum(part.stat().st_size for part in parts) <= (1 << 20) + (1 << 17)
    assert all(is_finished(part) for part in parts)


def test_a_recorder_that_starts_again_repairs_the_file_before_and_writes_a_new_part(tmp_path: Path) -> None:
    path = recording_path(tmp_path, "bench")
    path.parent.mkdir()
    writer = McapWriter(path, {"run_id": "bench"}, wall_offset_ns=0)
    channel = writer.add_channel("a/b", "M", b'{"type":"object","properties":{}}', {})
    writer.write(channel, sent_ns=1, sequence=0, data=b"{}")
    writer.end_chunk()
    writer.abandon()
    with bench_with(tmp_path) as bench:
        bench.send("everything", frames(), topic="can/frames")
        step(bench, 3)
        assert is_finished(path)
    assert counts_by_topic(*recording_paths(tmp_path, "bench")) == {"a/b": 1, "can/frames": 1}


KILLED = """
import os, sys
from pathlib import Path
from cardan.runtime.messages import CanFrame, CanFrames
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.testing import Bench

bench = Bench(Recorder, data_dir=Path(sys.argv[1]), topics={"can/frames": CanFrames})
for index in range(100_000):
    bench.send("everything", CanFrames(frames=[CanFrame("main", index, b"12345678", index)]), topic="can/frames")
    bench.step()
    bench.node.settle()
    os.write(1, b"%d\\n" % index)
"""


@pytest.mark.slow
def test_a_killed_recorder_loses_at_most_the_last_quarter_second(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(50)]
    child.send_signal(signal.SIGKILL)
    sent = int((lines + child.stdout.read().split(b"\n")[:-1])[-1]) + 1
    child.stdout.close()
    child.wait(timeout=10)
    with bench_with(tmp_path) as bench:
        step(bench, 2)
    kept = counts_by_topic(recording_path(tmp_path, "bench"))["can/frames"]
    assert sent - 3 <= kept <= sent + 1


@pytest.mark.parametrize("field", ["quota_bytes", "file_bytes", "jpeg_quality"])
def test_a_setting_out_of_range_is_refused_by_name(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({field: 0}, RecorderConfig)
