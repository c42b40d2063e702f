"""Clips: what was before a trigger and what came after it, in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardan.runtime.messages import BridgeVerdict, CameraFrame, Message
from cardan.runtime.record.files import recording_path, recording_paths
from cardan.runtime.record.mcap_file import counts_by_topic, read_messages, read_metadata
from cardan.runtime.record.policy import TopicPolicy
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.record.repair import is_finished, unfinished
from cardan.runtime.record.settings import RecorderConfig
from cardan.runtime.record.triggers import SPANS_S, TriggerConfig
from cardan.runtime.testing import Bench

TOPICS: dict[str, type[Message]] = {"camera/frame": CameraFrame, "bridge/verdict": BridgeVerdict}
STOP = 'bridge/verdict.engagement == "safe-stop"'
CHUNK_S = 0.3
"""A clip begins and ends with whole chunks."""


def verdict(engagement: str = "enabled", cycle: int = 0) -> BridgeVerdict:
    return BridgeVerdict(
        cycle=cycle,
        engagement=engagement,
        armed=True,
        accepted=True,
        reason="ok",
        cause="",
        steering_rad=0.0,
        accel_mps2=0.0,
    )


class Drive:
    """A recorder on a bench, with ten verdicts and ten pictures a second."""

    def __init__(self, folder: Path, config: RecorderConfig) -> None:
        self.folder = folder
        self.bench = Bench(Recorder, config=config, data_dir=folder, topics=TOPICS)
        self.cycle = 0
        self.start_ns = self.bench.clock.now_ns()

    def on(self, seconds: float, engagement: str = "enabled") -> None:
        for _ in range(round(seconds * 10)):
            self.bench.send("everything", verdict(engagement, self.cycle), topic="bridge/verdict")
            image = np.full((8, 8, 3), self.cycle % 256, np.uint8)
            self.bench.send("everything", CameraFrame(frame_id=self.cycle, image=image), topic="camera/frame")
            self.cycle += 1
            self.bench.step()
        assert self.bench.node.settle()

    def clips(self) -> list[Path]:
        return sorted(path for path in (self.folder / "recordings").iterdir() if "-" in path.name)

    def seconds(self, path: Path, topic: str) -> list[float]:
        """When the messages of a topic in a file were sent, from the begin of the drive."""
        return [(m.sent_ns - self.start_ns) / 1e9 for m in read_messages(path) if m.topic == topic]


@pytest.fixture
def drives() -> Iterator[list[Drive]]:
    started: list[Drive] = []
    yield started
    for drive in started:
        drive.bench.close()


def start(drives: list[Drive], folder: Path, **settings: Any) -> Drive:
    drives.append(Drive(folder, RecorderConfig(**settings)))
    return drives[-1]


def test_a_clip_holds_what_was_before_and_after_and_topics_that_only_clips_have(
    drives: list[Drive], tmp_path: Path
) -> None:
    drive = start(
        drives,
        tmp_path,
        topics={"camera/*": TopicPolicy(keep="trigger")},
        triggers={"stop": TriggerConfig(when=STOP, before_s=5.0, after_s=3.0)},
    )
    drive.on(20.0)
    drive.on(0.5, "safe-stop")
    drive.on(10.0)
    drive.bench.node.close()
    (clip,) = drive.clips()
    assert clip.name == "bench.event-1.stop.mcap" and is_finished(clip)
    for topic in TOPICS:
        times = drive.seconds(clip, topic)
        assert 15.0 - CHUNK_S <= times[0] <= 15.0 and 23.0 <= times[-1] <= 23.0 + CHUNK_S
        assert times == sorted(times) and len(times) == round((times[-1] - times[0]) * 10) + 1
    assert counts_by_topic(*recording_paths(tmp_path, "bench")) == {"bridge/verdict": 305}
    assert drive.bench.metric("clips")[1] == 1


def test_a_clip_says_why_it_was_written(drives: list[Drive], tmp_path: Path) -> None:
    drive = start(drives, tmp_path, triggers={"stop": TriggerConfig(when=STOP, kind="crash")})
    drive.on(2.0)
    drive.on(1.0, "safe-stop")
    drive.bench.node.close()
    (clip,) = drive.clips()
    about = read_metadata(clip)
    assert clip.name == "bench.crash-1.stop.mcap"
    assert (about["run_id"], about["trigger"], about["kind"], about["when"]) == ("bench", "stop", "crash", STOP)
    assert (about["wanted_before_s"], about["wanted_after_s"]) == ("60", "30")
    assert int(about["fired_ns"]) == drive.start_ns + 2_000_000_000
    assert float(about["has_before_s"]) == pytest.approx(2.0, abs=CHUNK_S)


def test_the_spans_of_a_trigger_are_those_of_its_kind_unless_it_says_others() -> None:
    assert SPANS_S == {"event": (25.0, 10.0), "crash": (60.0, 30.0)}
    assert TriggerConfig(when=STOP).span_before_s == 25.0
    assert TriggerConfig(when=STOP, kind="crash", after_s=5.0).span_after_s == 5.0


def test_a_trigger_that_fires_again_makes_its_clip_longer(drives: list[Drive], tmp_path: Path) -> None:
    drive = start(drives, tmp_path, triggers={"stop": TriggerConfig(when=STOP, before_s=1.0, after_s=3.0)})
    drive.on(5.0)
    for _ in range(3):
        drive.on(1.0, "safe-stop")
        drive.on(1.0)
    drive.on(10.0)
    drive.on(1.0, "safe-stop")
    drive.bench.node.close()
    first, second = drive.clips()
    times = drive.seconds(first, "bridge/verdict")
    assert times[0] == pytest.approx(4.0, abs=CHUNK_S) and times[-1] == pytest.approx(12.0, abs=CHUNK_S)
    assert drive.seconds(second, "bridge/verdict")[0] == pytest.approx(20.0, abs=CHUNK_S)


def test_two_triggers_write_two_clips_that_share_what_was_recorded(drives: list[Drive], tmp_path: Path) -> None:
    triggers = {
        "stop": TriggerConfig(when=STOP, before_s=1.0, after_s=1.0),
        "silence": TriggerConfig(when="stale(bridge/verdict, 1 s)", before_s=3.0, after_s=0.0, kind="crash"),
    }
    drive = start(drives, tmp_path, triggers=triggers)
    drive.on(5.0)
    drive.on(0.1, "safe-stop")
    drive.bench.step(30)
    drive.bench.node.close()
    assert [path.name for path in drive.clips()] == ["bench.crash-2.silence.mcap", "bench.event-1.stop.mcap"]
    both = [{m.sequence for m in read_messages(path) if m.topic == "bridge/verdict"} for path in drive.clips()]
    assert both[1] < both[0] and 50 in both[1]


def test_every_message_is_in_a_file_once_and_thinned_topics_are_whole_in_clips(
    drives: list[Drive], tmp_path: Path
) -> None:
    drive = start(
        drives,
        tmp_path,
        topics={"camera/frame": TopicPolicy(rate_hz=2.0)},
        triggers={"stop": TriggerConfig(when=STOP, before_s=4.0, after_s=2.0)},
    )
    drive.on(8.0)
    drive.on(4.0, "safe-stop")
    drive.bench.node.close()
    (clip,) = drive.clips()
    for path in (clip, recording_path(tmp_path, "bench")):
        ids = [json.loads(m.data)["message"]["frame_id"] for m in read_messages(path) if m.topic == "camera/frame"]
        assert len(ids) == len(set(ids))
    assert counts_by_topic(recording_path(tmp_path, "bench"))["camera/frame"] == 24
    in_clip = [json.loads(m.data)["message"]["frame_id"] for m in read_messages(clip) if m.topic == "camera/frame"]
    assert sorted(in_clip) == list(range(min(in_clip), max(in_clip) + 1))


def test_the_past_is_bounded_in_memory_and_a_clip_says_how_much_of_it_there_was(
    drives: list[Drive], tmp_path: Path
) -> None:
    drive = start(
        drives,
        tmp_path,
        topics={"camera/frame": TopicPolicy(keep="trigger", frames="raw")},
        triggers={"stop": TriggerConfig(when=STOP, before_s=60.0, after_s=0.0)},
        preroll_bytes=1 << 20,
    )
    noise = np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8)
    for _ in range(100):
        drive.bench.send("everything", CameraFrame(frame_id=1, image=noise), topic="camera/frame")
        drive.bench.send("everything", verdict(), topic="bridge/verdict")
        drive.bench.step()
    assert drive.bench.node.settle()
    drive.on(0.1, "safe-stop")
    assert drive.bench.node._archive._past.bytes <= 1 << 20
    drive.bench.node.close()
    (clip,) = drive.clips()
    assert clip.stat().st_size < 1 << 21
    assert 2.0 < float(read_metadata(clip)["has_before_s"]) < 5.0


def test_a_recorder_without_triggers_keeps_nothing_in_memory(drives: list[Drive], tmp_path: Path) -> None:
    drive = start(drives, tmp_path)
    drive.on(3.0)
    assert len(drive.bench.node._archive._past) == 0
    assert drive.clips() == []


def test_a_clip_that_was_cut_off_is_repaired_at_the_next_start(drives: list[Drive], tmp_path: Path) -> None:
    drive = start(drives, tmp_path, triggers={"stop": TriggerConfig(when=STOP)})
    drive.on(3.0)
    drive.on(1.0, "safe-stop")
    drive.bench.node._archive.abandon()
    assert unfinished(tmp_path / "recordings") == sorted(
        (tmp_path / "recordings").iterdir(), key=lambda path: path.stat().st_mtime_ns
    )
    again = start(drives, tmp_path)
    again.on(0.5)
    (clip,) = drive.clips()
    assert is_finished(clip)
    assert counts_by_topic(clip)["bridge/verdict"] >= 38
