"""Topics that are kept as H.264: what a recording has of them, by real encoders and by none."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from mcap.reader import make_reader
from tests.runtime.small_vehicle import make_plan

from cardan.runtime.cli.main import main
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.doctor.check import Subject, Verdict
from cardan.runtime.doctor.video_check import video
from cardan.runtime.errors import DeviceError, RunError
from cardan.runtime.graph import load_plan
from cardan.runtime.messages import BridgeVerdict, CameraFrame, Message
from cardan.runtime.profile import Profile, VideoSettings
from cardan.runtime.record.export import row_of
from cardan.runtime.record.files import recording_path, recording_paths
from cardan.runtime.record.mcap_file import RecordedMessage, counts_by_topic, read_messages, schemas_of
from cardan.runtime.record.policy import Place, Sorter, TopicPolicy
from cardan.runtime.record.read_back import ReadBack, fields_of
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.record.settings import RecorderConfig
from cardan.runtime.record.triggers import TriggerConfig
from cardan.runtime.record.video.annexb import is_keyframe
from cardan.runtime.record.video.choose import choose
from cardan.runtime.record.video.export import to_h264
from cardan.runtime.record.video.message import SCHEMA_NAME, video_fields
from cardan.runtime.replay.recorded import Recorded
from cardan.runtime.testing import Bench

TOPIC = "camera/frame"
TOPICS: dict[str, type[Message]] = {TOPIC: CameraFrame, "bridge/verdict": BridgeVerdict}
WIDTH, HEIGHT = 162, 122
Fake = Callable[[str], VideoSettings]
Until = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def ffmpeg() -> VideoSettings:
    """The encoder of this computer, whichever it is."""
    try:
        choose(VideoSettings())
    except DeviceError as error:
        pytest.skip(str(error))
    return VideoSettings()


def picture(number: int) -> CameraFrame:
    """Brighter with each number, and with its eight bits as black and white squares along the top."""
    image = np.full((HEIGHT, WIDTH, 3), 60 + number % 128, np.uint8)
    for bit in range(8):
        image[0:16, 16 * bit : 16 * bit + 16] = 255 if number >> bit & 1 else 0
    return CameraFrame(frame_id=number, image=image)


def number_in(grey: np.ndarray) -> int:
    return sum(1 << bit for bit in range(8) if grey[4:12, 16 * bit + 4 : 16 * bit + 12].mean() > 127)


class Drive:
    """A recorder on a bench with a camera of ten pictures a second."""

    def __init__(self, folder: Path, settings: VideoSettings, policy: TopicPolicy | None = None, **config: Any) -> None:
        self.policy = policy or TopicPolicy(frames="h264", keyframe_s=0.5)
        recorder = RecorderConfig(topics={TOPIC: self.policy}, **config)
        profile = Profile(name="test", video=settings)
        self.folder, self.sent = folder, 0
        self.bench = Bench(Recorder, config=recorder, data_dir=folder, topics=TOPICS, profile=profile)

    def on(self, count: int, engagement: str = "enabled") -> None:
        for _ in range(count):
            verdict = BridgeVerdict(
                cycle=0,
                engagement=engagement,
                armed=True,
                accepted=True,
                reason="",
                cause="",
                steering_rad=0.0,
                accel_mps2=0.0,
            )
            self.bench.send("everything", verdict, topic="bridge/verdict")
            self.bench.send("everything", picture(self.sent), topic=TOPIC, origin_ns=self.sent, valid=self.sent != 3)
            self.sent += 1
            self.bench.step()

    def until_encoded(self, until: Until, count: int) -> None:
        """Step, with no more pictures, until so many have come back."""

        def stepped() -> bool:
            self.bench.node._record_videos()
            return self.bench.metric("encoded")[1] >= count

        until(stepped)

    def end(self) -> list[RecordedMessage]:
        self.bench.close()
        return [item for item in read_messages(recording_path(self.folder, "bench")) if item.topic == TOPIC]


def decoded(stream: bytes) -> list[np.ndarray]:
    """Every picture of a stream, by ffmpeg, in grey."""
    program = shutil.which("ffmpeg")
    assert program is not None
    words = [program, "-v", "error", "-f", "h264", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]
    done = subprocess.run(words, input=stream, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    return list(np.frombuffer(done.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH))


@pytest.mark.slow
def test_every_picture_is_in_the_file_with_its_own_stamps_and_can_be_seen(
    tmp_path: Path, ffmpeg: VideoSettings, until: Until
) -> None:
    drive = Drive(tmp_path, ffmpeg)
    drive.on(20)
    drive.until_encoded(until, 10)
    drive.on(20)
    found = drive.end()
    assert [item.sequence for item in found] == list(range(40))
    assert [item.sent_ns for item in found] == [found[0].sent_ns + 100_000_000 * number for number in range(40)]
    fields = [video_fields(item.data) for item in found]
    assert [item["frame_id"] for item in fields] == list(range(40))
    assert [item["_envelope"]["origin_ns"] for item in fields] == list(range(40))
    assert [item["_envelope"]["valid"] for item in fields] == [number != 3 for number in range(40)]
    keys = [number for number, item in enumerate(fields) if is_keyframe(item["h264"])]
    assert keys[0] == 0 and max(np.diff([*keys, 40])) <= 10  # 20 pictures a second are taken for granted
    pictures = decoded(b"".join(item["h264"] for item in fields))
    assert [number_in(grey) for grey in pictures] == list(range(40))
    for number, grey in enumerate(pictures):
        assert abs(float(grey[60:, :].mean()) - (60 + number)) < 12
    later = decoded(b"".join(item["h264"] for item in fields[keys[1] :]))
    assert [number_in(grey) for grey in later] == list(range(keys[1], 40))


@pytest.mark.slow
def test_a_standard_reader_sees_compressed_video(tmp_path: Path, ffmpeg: VideoSettings, until: Until) -> None:
    drive = Drive(tmp_path, ffmpeg)
    drive.on(5)
    drive.until_encoded(until, 3)
    drive.end()
    with recording_path(tmp_path, "bench").open("rb") as file:
        found = [item for item in make_reader(file, validate_crcs=True).iter_messages() if item[1].topic == TOPIC]
    assert len(found) == 5
    for schema, channel, message in found:
        assert schema is not None
        assert (schema.name, schema.encoding, channel.message_encoding) == (SCHEMA_NAME, "protobuf", "protobuf")
        files = descriptor_pb2.FileDescriptorSet.FromString(schema.data)
        pool = descriptor_pool.DescriptorPool()
        for item in files.file:
            pool.Add(item)
        kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(SCHEMA_NAME))
        read: Any = kind.FromString(message.data)
        assert (read.format, read.frame_id) == ("h264", TOPIC)
        assert read.data.startswith(b"\x00\x00\x00\x01\x09")
        assert channel.metadata["type"] == "cardan.runtime.messages:CameraFrame"


@pytest.mark.slow
def test_an_export_is_a_file_that_plays(
    tmp_path: Path, ffmpeg: VideoSettings, until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = Drive(tmp_path, ffmpeg)
    drive.on(20)
    drive.until_encoded(until, 15)
    drive.end()
    path, out = str(recording_path(tmp_path, "bench")), tmp_path / "out.h264"
    assert main(["record", "export", path, "--to", "h264", "--out", str(out)]) == 0
    assert f"{out}: 20 pictures" in capsys.readouterr().out
    assert [number_in(grey) for grey in decoded(out.read_bytes())] == list(range(20))
    film = tmp_path / "out.mp4"
    assert main(["record", "export", path, "--to", "mp4", "--topic", TOPIC, "--out", str(film)]) == 0
    probe = shutil.which("ffprobe")
    if probe is not None:
        shown = "stream=nb_read_frames,avg_frame_rate,codec_name"
        words = [probe, "-v", "error", "-count_frames", "-show_entries", shown]
        done = subprocess.run([*words, "-of", "json", str(film)], capture_output=True, timeout=60, check=True)
        (stream,) = json.loads(done.stdout)["streams"]
        assert (stream["codec_name"], stream["nb_read_frames"]) == ("h264", "20")
        assert abs(Fraction(stream["avg_frame_rate"]) - 10) < 0.5  # the last picture has half its time
    assert main(["record", "export", path, "--to", "mp4", "--out", str(film)]) == 2
    assert main(["record", "export", path, "--to", "h264", "--topic", "bridge/verdict"]) == 3
    assert "nothing to export" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fallback", "schema", "dropped"),
    [("jpeg", "foxglove.CompressedImage", 0), ("raw", "foxglove.RawImage", 0), ("none", "", 8)],
)
def test_without_an_encoder_pictures_are_kept_as_the_policy_says_and_it_is_said_once(
    tmp_path: Path, until: Until, fallback: Any, schema: str, dropped: int
) -> None:
    settings = VideoSettings(command=["no-such-encoder"])
    drive = Drive(tmp_path, settings, TopicPolicy(frames="h264", fallback=fallback))
    drive.on(1)
    until(lambda: drive.bench.node._video_troubles or drive.bench.fault)
    taken = int(drive.bench.node._tracks.lost())  # the first may have come before it was known
    drive.on(8)
    assert drive.bench.fault is not None and drive.bench.fault[1] == "recorder-video"
    assert 'no program "no-such-encoder"' in drive.bench.fault[2]
    assert ("not kept" if fallback == "none" else f"kept as {fallback}") in drive.bench.fault[2]
    assert drive.bench.metric("dropped")[1] >= dropped
    found = drive.end()
    assert {item.schema for item in found} == ({schema} if schema else set())
    assert len(found) == (9 - taken if schema else 0)
    assert counts_by_topic(recording_path(tmp_path, "bench"))["bridge/verdict"] == 9


@pytest.mark.slow
def test_an_encoder_that_dies_costs_what_was_in_it_and_nothing_else(tmp_path: Path, fake: Fake, until: Until) -> None:
    drive = Drive(tmp_path, fake("dies"))
    node = drive.bench.node

    def pushed() -> bool:
        drive.on(1)
        track = node._tracks._live()[0] if node._tracks._live() else None
        return track is not None and track.encoder.counts().starts >= 2

    until(pushed)
    drive.on(3)
    found = drive.end()
    kinds = [item.schema for item in found]
    assert kinds.count(SCHEMA_NAME) >= 2 and "foxglove.CompressedImage" in kinds
    assert len(found) + drive.bench.metric("dropped")[1] == drive.sent
    assert len({item.sequence for item in found}) == len(found)
    assert drive.bench.fault is not None and "ended with code 7" in drive.bench.fault[2]
    path = recording_path(tmp_path, "bench")
    assert counts_by_topic(path)["bridge/verdict"] == drive.sent
    assert {schema for topic, schema in schemas_of(path) if topic == TOPIC} == {
        SCHEMA_NAME,
        "foxglove.CompressedImage",
    }
    copy = tmp_path / "copy.mcap"
    assert main(["record", "export", str(path), "--to", "mcap", "--topic", TOPIC, "--out", str(copy)]) == 0
    assert sorted((item.sequence, item.schema, item.data) for item in read_messages(copy)) == sorted(
        (item.sequence, item.schema, item.data) for item in found
    )


@pytest.mark.slow
def test_a_clip_begins_with_a_picture_that_stands_for_itself_and_has_the_wanted_past(
    tmp_path: Path, ffmpeg: VideoSettings, until: Until
) -> None:
    trigger = TriggerConfig(when='bridge/verdict.engagement == "safe-stop"', before_s=2.0, after_s=1.0)
    policy = TopicPolicy(frames="h264", keyframe_s=0.5, keep="trigger")
    drive = Drive(tmp_path, ffmpeg, policy, triggers={"stop": trigger})
    drive.on(40)
    drive.until_encoded(until, 39)
    fired_ns = drive.bench.clock.now_ns()
    drive.on(10, "safe-stop")
    drive.until_encoded(until, 48)
    drive.end()
    (clip,) = [path for path in (tmp_path / "recordings").glob("*.mcap") if "event-" in path.name]
    found = [item for item in read_messages(clip) if item.topic == TOPIC]
    units = [video_fields(item.data)["h264"] for item in found]
    begin = next(number for number, unit in enumerate(units) if is_keyframe(unit))
    assert found[begin].sent_ns <= fired_ns - 2_000_000_000
    numbers = [number_in(grey) for grey in decoded(b"".join(units[begin:]))]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[-1] >= 47
    assert TOPIC not in counts_by_topic(*recording_paths(tmp_path, "bench"))


def test_a_picture_that_the_disk_refused_takes_those_with_it_that_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cardan.runtime.record.video.annexb import AccessUnit
    from cardan.runtime.record.video.child import Coded, Frame
    from cardan.runtime.record.video.tracks import Track

    drive = Drive(tmp_path, VideoSettings(command=["no-such-encoder"]))
    node = drive.bench.node
    track = Track(TOPIC, "cardan.runtime.messages:CameraFrame", Place.RUN, Any)  # type: ignore[arg-type]

    def write(number: int, keyframe: bool) -> None:
        own = b'{"message":{},"_envelope":{}}'
        frame = Frame(number, number, number, own, memoryview(b""))
        node._write_coded(track, Coded(frame, AccessUnit(b"\x00\x00\x01\x65\x80", keyframe)))

    write(0, True)
    with monkeypatch.context() as patch:
        patch.setattr(node._worker, "put", lambda *arguments, **named: False)
        write(1, False)
    write(2, False)
    write(3, True)
    write(4, False)
    assert drive.bench.metric("dropped")[1] == 2
    assert [item.sequence for item in drive.end()] == [0, 3, 4]


def test_a_video_is_one_stream_so_that_clips_have_no_more_of_it() -> None:
    sorter = Sorter({TOPIC: TopicPolicy(frames="h264", rate_hz=5.0)}, clips=True)
    assert [sorter.place(TOPIC, at * 100_000_000) for at in range(4)] == [
        Place.RUN,
        Place.NOWHERE,
        Place.RUN,
        Place.NOWHERE,
    ]


@pytest.mark.slow
def test_a_picture_of_another_size_is_kept_by_the_fallback_and_said_once(
    tmp_path: Path, fake: Fake, until: Until
) -> None:
    drive = Drive(tmp_path, fake(""))
    drive.on(3)
    drive.until_encoded(until, 2)
    for number in range(2):
        image = np.zeros((8, 8, 3), np.uint8)
        drive.bench.send("everything", CameraFrame(frame_id=100 + number, image=image), topic=TOPIC)
        drive.bench.step()
    assert drive.bench.fault is not None and "a picture has 8x8, and its stream 162x122" in drive.bench.fault[2]
    assert [item.schema for item in sorted(drive.end(), key=lambda item: item.sequence)] == [
        *[SCHEMA_NAME] * 3,
        *["foxglove.CompressedImage"] * 2,
    ]


def test_what_is_no_picture_is_recorded_as_ever(tmp_path: Path, fake: Fake) -> None:
    policy = TopicPolicy(frames="h264")
    config = RecorderConfig(topics={"*": policy})
    with Bench(Recorder, config=config, data_dir=tmp_path, topics=TOPICS, profile=Profile(name="t")) as bench:
        empty = CameraFrame(frame_id=1, image=np.zeros((0, 0), np.uint8))
        bench.send("everything", empty, topic=TOPIC)
        bench.step()
    assert counts_by_topic(recording_path(tmp_path, "bench")) == {TOPIC: 1}


@pytest.mark.slow
def test_a_table_has_its_other_fields_and_who_decodes_nothing_says_what_to_record_instead(
    tmp_path: Path, fake: Fake, until: Until
) -> None:
    drive = Drive(tmp_path, fake(""))
    drive.on(3)
    drive.until_encoded(until, 2)
    (first, *_) = drive.end()
    row = row_of(first)
    assert row["frame_id"] == 0 and row["valid"] is True and "h264" not in row
    assert fields_of(first)["h264"].startswith(b"\x00\x00\x00\x01\x09")
    with pytest.raises(RunError, match=r"were recorded as H\.264") as found:
        ReadBack(CameraFrame).read(first)
    assert "frames" in str(found.value.hint)
    own = first.data.replace(b'"message":', b'"massage":')
    for damaged in (b"", first.data[:20], b"\x08\x01"):
        with pytest.raises(ValueError, match=r"outside|cardan"):
            video_fields(damaged)
    for damaged in (own, first.data.replace(b'{"frame_id"', b'["frame_id"')):
        with pytest.raises(ValueError, match="what goes with the picture is damaged: "):
            video_fields(damaged)
    with pytest.raises(RunError, match="picture 0 of camera/frame cannot be read"):
        to_h264([msgspec.structs.replace(first, data=own)], tmp_path / "damaged.h264")
    assert not is_keyframe(b"no video")


@pytest.mark.slow
def test_a_replay_gets_each_picture_with_its_message(tmp_path: Path, ffmpeg: VideoSettings, until: Until) -> None:
    drive = Drive(tmp_path, ffmpeg)
    drive.on(12)
    drive.until_encoded(until, 6)
    drive.end()
    recorded = Recorded([recording_path(tmp_path, "bench")], make_plan(), ["control"])
    samples = recorded.samples(recorded.by_topic[TOPIC])
    assert recorded.trouble == "" and [sample.value.frame_id for sample in samples] == list(range(12))
    assert [number_in(sample.value.image[:, :, 0]) for sample in samples] == list(range(12))
    assert [sample.valid for sample in samples] == [number != 3 for number in range(12)]


def subject_with(tmp_path: Path, settings: VideoSettings, frames: str) -> Subject:
    plan = load_plan()
    recorder = next(node for node in plan.nodes if node.use.endswith(":Recorder"))
    changed = msgspec.structs.replace(recorder, config={"topics": {TOPIC: {"frames": frames}}})
    plan = msgspec.structs.replace(plan, nodes=[changed if node is recorder else node for node in plan.nodes])
    profile = Profile(name="test", video=settings)
    return Subject(profile=profile, plan=plan, findings=[], data_dir=tmp_path, clock=MonotonicClock(), root=tmp_path)


@pytest.mark.slow
def test_the_doctor_tries_the_encoder_before_a_drive(tmp_path: Path, fake: Fake) -> None:
    good = subject_with(tmp_path, fake(""), "h264")
    result = video(good)
    assert result.verdict is Verdict.PASS and result.text.startswith("camera/frame: ")
    bad = video(subject_with(tmp_path, VideoSettings(command=["no-such-encoder"]), "h264"))
    assert bad.verdict is Verdict.FAIL and "there is no program" in bad.text and bad.fix
    assert video(subject_with(tmp_path, fake(""), "jpeg")).text == "no topic is kept as H.264"
    assert video(replace(good, plan=None)).verdict is Verdict.UNKNOWN
