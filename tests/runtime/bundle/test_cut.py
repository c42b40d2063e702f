"""Parts of recordings for a bundle: what may leave is there message for message, what may not is nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.runtime.small_recording import FRAMES, PICTURES, small_recording

from cardan.runtime.bundle.cut import Cutter
from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.redact import Redaction
from cardan.runtime.bundle.trim import Index, index_or_none, renumbered, trimmed
from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.plan import NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages, read_metadata
from cardan.runtime.record.mcap_writer import McapWriter
from cardan.runtime.record.places import Place
from cardan.runtime.record.repair import is_finished

RUN = "20260101-000000-beef"
VIN = "WVWZZZ1JZXW000001"
EVER = (0, 1 << 62)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_recording(tmp_path_factory.mktemp("cut"), pictures=True)


def job_of(folder: Path, redaction: Redaction, topics: dict[str, str]) -> Job:
    outputs = [OutputPlan(port=topic.split("/")[1], topic=topic, type=kind) for topic, kind in topics.items()]
    plan = Plan(
        name="small",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="bench"),
        envelope={},
        envelope_hash="",
        nodes=[NodePlan(name="all", index=0, use="x:All", outputs=outputs)],
    )
    return Job(
        folder=folder,
        data_dir=folder,
        run_id=RUN,
        plan=plan,
        plan_path=folder,
        vitals_path=folder,
        bus_dir=None,
        is_live=False,
        clock=MonotonicClock(),
        redaction=redaction,
    )


def cut(
    target: Path, paths: Iterable[Path], span: tuple[int, int] = EVER, *, limit_bytes: int = 1 << 30, **kinds: bool
) -> list[RecordedMessage]:
    types = {topic: f"cardan.runtime.messages:{kind.__name__}" for topic, kind in (FRAMES | PICTURES).items()}
    with Cutter(job_of(target.parent, Redaction(**kinds), types), paths, limit_bytes) as cutter:
        cutter.add(span)
        count = cutter.write(target)
    assert is_finished(target), "as any other recording"
    found = list(read_messages(target))
    assert len(found) == count
    return found


def test_everything_but_pictures_is_there_message_for_message(recording: Path, tmp_path: Path) -> None:
    found = cut(tmp_path / "part.mcap", [recording])
    assert found == [message for message in read_messages(recording) if message.topic != "camera/frame"]
    assert {message.topic for message in found} == {"can/frames", "late/frames", "seldom/frames"}
    assert read_metadata(tmp_path / "part.mcap") == read_metadata(recording)


def test_pictures_come_along_when_they_may(recording: Path, tmp_path: Path) -> None:
    assert cut(tmp_path / "part.mcap", [recording], pictures=False) == list(read_messages(recording))


def test_a_span_has_its_messages_and_at_most_a_chunk_more_on_each_side(recording: Path, tmp_path: Path) -> None:
    first_ns = next(read_messages(recording)).log_ns
    span = first_ns + ns(6.0), first_ns + ns(7.0)
    found = cut(tmp_path / "part.mcap", [recording], span)
    wanted = [m for m in read_messages(recording) if m.topic != "camera/frame" and span[0] <= m.log_ns <= span[1]]
    assert len(wanted) >= 20 and [message for message in found if span[0] <= message.log_ns <= span[1]] == wanted
    assert all(span[0] - ns(0.4) <= message.log_ns <= span[1] + ns(0.4) for message in found)


def test_where_there_is_no_room_the_newest_is_taken(recording: Path, tmp_path: Path) -> None:
    whole = cut(tmp_path / "whole.mcap", [recording])
    found = cut(tmp_path / "part.mcap", [recording], limit_bytes=3000)
    assert 0 < len(found) < len(whole) and found == whole[-len(found) :]


def written(path: Path, topics: dict[str, list[bytes]], begin_s: float) -> Path:
    """A recording that announces its topics in the given order, a message each tenth of a second."""
    writer = McapWriter(path, {"run": RUN}, wall_offset_ns=0)
    numbers = {topic: writer.add_channel(topic, "Text", b"{}", {}) for topic in topics}
    for topic, texts in topics.items():
        for step, text in enumerate(texts):
            writer.write(numbers[topic], sent_ns=ns(begin_s + step / 10), sequence=step, data=text)
    writer.finish()
    return path


def test_each_message_keeps_its_topic_though_recordings_number_them_each_for_itself(tmp_path: Path) -> None:
    texts = {"can/frames": [b'{"a":1}'] * 3, "late/frames": [b'{"b":2}'] * 2}
    one = written(tmp_path / "one.mcap", texts, 1.0)
    two = written(tmp_path / "two.mcap", dict(reversed(texts.items())), 5.0)
    found = cut(tmp_path / "part.mcap", [one, two])
    assert sorted((message.topic, message.data) for message in found) == sorted(
        (topic, text) for topic, lines in texts.items() for text in lines * 2
    )


def test_an_identification_number_and_a_position_stay_out(tmp_path: Path) -> None:
    lines = [f'{{"vin":"{VIN}"}}'.encode(), b'{"latitude_deg":48.1}', b'{"speed_mps":1.0}']
    path = written(tmp_path / "one.mcap", {"can/frames": lines}, 1.0)
    found = [message.data for message in cut(tmp_path / "part.mcap", [path], positions=True)]
    assert found == [b'{"vin":"' + b"*" * 17 + b'"}', b'{"speed_mps":1.0}']


def test_a_message_as_large_as_a_picture_stays_out_whatever_its_topic(tmp_path: Path) -> None:
    lines = [b'{"a":"' + b"x" * 70_000 + b'"}', b'{"b":1}', b'{"c":"' + b"y" * 60_000 + b'"}']
    path = written(tmp_path / "one.mcap", {"can/frames": lines}, 1.0)
    assert [message.data for message in cut(tmp_path / "part.mcap", [path])] == lines[1:]
    assert len(cut(tmp_path / "all.mcap", [path], pictures=False)) == 3


@pytest.mark.parametrize("schema", ["foxglove.CompressedImage", "foxglove.RawImage", "foxglove.CompressedVideo"])
def test_a_picture_stays_out_however_small_it_is_and_whatever_its_type(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "one.mcap"
    writer = McapWriter(path, {"run_id": "one", "wall_minus_monotonic_ns": "0"}, wall_offset_ns=0)
    encoding = "json" if schema == "foxglove.CompressedImage" else "protobuf"
    for number, name in enumerate((schema, "Other")):
        channel = writer.add_channel("can/frames", name, b"{}", {"type": "mine:Type"}, encoding)
        writer.write(channel, sent_ns=number + 1, sequence=number, data=b"{}")
    writer.finish()
    assert [message.schema for message in cut(tmp_path / "part.mcap", [path])] == ["Other"]
    assert len(cut(tmp_path / "all.mcap", [path], pictures=False)) == 2


def test_a_recording_without_indexes_is_read_message_by_message(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cut(tmp_path / "whole.mcap", [recording])
    monkeypatch.setattr("cardan.runtime.bundle.source.index_or_none", lambda records, data: None)
    assert cut(tmp_path / "part.mcap", [recording]) == whole


def test_a_recording_that_is_still_written_is_read_as_far_as_it_goes(recording: Path, tmp_path: Path) -> None:
    """Wherever it is cut: in a chunk, or between its message indexes, of which none may stand for the others."""
    data, whole = recording.read_bytes(), cut(tmp_path / "whole.mcap", [recording])
    for number, end in enumerate(range(len(data) // 2, len(data) // 2 + 900, 30)):
        growing = tmp_path / f"growing-{number}.mcap"
        growing.write_bytes(data[:end])
        found = cut(tmp_path / f"part-{number}.mcap", [growing])
        assert 10 < len(found) < len(whole) and found == whole[: len(found)]


def test_what_no_longer_fits_its_index_is_not_taken_at_its_word() -> None:
    index: Index = {1: bytes(8) + (3).to_bytes(8, "little")}
    assert index_or_none(b"", b"") is None
    assert index_or_none(b"\x07" + (22).to_bytes(8, "little") + b"\x01\x00\x10\x00\x00\x00" + index[1], b"\x05") is None
    assert trimmed(b"abc", {}, ()) == (b"", {})
    assert renumbered(b"", {}, {}) == (b"", {})


def test_a_place_that_is_no_chunk_overlaps_nothing() -> None:
    assert not Place(opcode=1, begin=0, length=0, end=0, first_ns=0, last_ns=9, announces=False).overlaps(0, 9)
