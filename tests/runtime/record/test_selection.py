"""Some topics of a recording are read without the others, and say what reading everything says."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.small_recording import FRAMES, small_recording

from cardan.runtime.record import selection, window
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages
from cardan.runtime.record.repair import repair
from cardan.runtime.record.selection import newest_message_or_none, selected_messages
from cardan.runtime.record.window import Channel


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_recording(tmp_path_factory.mktemp("selection"))


def of(*topics: str) -> selection.Wanted:
    return lambda channel: channel.topic in topics


def everything(path: Path, *topics: str) -> list[RecordedMessage]:
    return [message for message in read_messages(path) if message.topic in topics]


@pytest.mark.parametrize(
    "topics", [("can/frames",), ("late/frames",), ("seldom/frames",), tuple(FRAMES), ("never/frames",)]
)
def test_exactly_the_messages_of_the_topics_come_in_file_order(recording: Path, topics: tuple[str, ...]) -> None:
    found = list(selected_messages(recording, of(*topics)))
    assert found == everything(recording, *topics)
    assert bool(found) is (topics != ("never/frames",))
    assert newest_message_or_none(recording, of(*topics)) == (found[-1] if found else None)


def test_the_type_can_choose_as_well(recording: Path) -> None:
    kinds = {message.type_name for message in selected_messages(recording, lambda channel: channel.encoding == "json")}
    assert kinds == {"cardan.runtime.messages:CanFrames"}


def test_chunks_without_the_topic_are_passed_over(recording: Path) -> None:
    with mock.patch.object(selection, "plain", wraps=window.plain) as unpacked:
        assert len(list(selected_messages(recording, of("seldom/frames")))) == 4
        seldom = unpacked.call_count
        list(selected_messages(recording, of("can/frames")))
        all_of_them = unpacked.call_count - seldom
        unpacked.reset_mock()
        newest_message_or_none(recording, of("can/frames"))
        assert unpacked.call_count <= 4
    assert seldom < 10 < all_of_them


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(noise=st.binary(max_size=300), at=st.floats(0, 1), cut=st.booleans())
def test_a_damaged_file_gives_what_can_be_read(
    recording: Path, tmp_path: Path, noise: bytes, at: float, cut: bool
) -> None:
    whole = recording.read_bytes()
    begin = int(at * len(whole))
    path = tmp_path / "damaged.mcap"
    path.write_bytes(whole[:begin] + noise + (b"" if cut else whole[begin + len(noise) :]))
    intact = everything(recording, *FRAMES)
    found = list(selected_messages(path, of(*FRAMES)))
    assert found == [message for message in intact if message in found]
    if cut:
        assert len(found) >= len(everything(path, *FRAMES))
    newest = newest_message_or_none(path, of("can/frames"))
    assert newest is None or newest in intact


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_recorder_that_was_killed_leaves_all_that_it_had_written(
    recording: Path, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "killed.mcap"
    path.write_bytes(recording.read_bytes()[: int(share * recording.stat().st_size)])
    before = list(selected_messages(path, of("can/frames")))
    assert before == everything(path, "can/frames")
    repair(path)
    assert list(selected_messages(path, of("can/frames"))) == before


def test_an_index_that_does_not_fit_its_chunk_is_not_believed(recording: Path, tmp_path: Path) -> None:
    """Nothing protects an index, so its places are compared with what stands there."""
    data = bytearray(recording.read_bytes())
    first = everything(recording, "can/frames")[0]
    at = data.index(first.log_ns.to_bytes(8, "little"), data.index(b"zstd") + 400)  # of the index behind the chunk
    data[at + 8] ^= 0x10
    path = tmp_path / "index.mcap"
    path.write_bytes(data)
    assert list(selected_messages(path, of("can/frames"))) == everything(recording, "can/frames")


def test_a_file_of_another_writer_is_read_whole(tmp_path: Path) -> None:
    writer = pytest.importorskip("mcap.writer")
    path = tmp_path / "other.mcap"
    with path.open("wb") as file:
        other = writer.Writer(file)
        other.start(library="another")
        schema = other.register_schema("S", "jsonschema", b"{}")
        channels = [other.register_channel(topic, "json", schema, {"type": "m:C"}) for topic in ("a", "b")]
        for number in range(4):
            other.add_message(channels[number % 2], number, b"{}", number, number)
        other.finish()
    assert [message.sequence for message in selected_messages(path, of("b"))] == [1, 3]
    newest = newest_message_or_none(path, of("a"))
    assert newest is not None and newest.sequence == 2


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n\x01\xff"])
def test_a_file_that_is_no_recording_has_no_messages(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    assert list(selected_messages(path, lambda channel: True)) == []
    assert newest_message_or_none(path, lambda channel: True) is None


def test_a_channel_of_another_writer_has_its_encoding() -> None:
    message = RecordedMessage("a", "m:C", 1, 2, 3, b"", "protobuf")
    assert selection._channel_of(message) == Channel("a", "m:C", "protobuf")
