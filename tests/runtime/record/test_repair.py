"""Repair: whatever a kill or a bad block left of a recording, standard tools read it afterwards."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader

from cardan.runtime.record.mcap_file import counts_by_topic, read_messages, read_metadata
from cardan.runtime.record.mcap_layout import CHUNK, MAGIC, records_in
from cardan.runtime.record.mcap_writer import METADATA_NAME, McapWriter
from cardan.runtime.record.repair import is_finished, repair, repair_steps, unfinished

CHUNKS, MESSAGES_PER_CHUNK = 4, 5


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """While this lasts, the kernel refuses to let any file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def recorded_bytes(folder: Path, *, finished: bool = False) -> bytes:
    path = folder / "source.mcap"
    path.unlink(missing_ok=True)
    writer = McapWriter(path, {"run_id": "run-1"}, wall_offset_ns=1000)
    channels = [writer.add_channel(topic, "M", b'{"type":"object"}', {}) for topic in ("a/x", "b/y")]
    for chunk in range(CHUNKS):
        for number in range(MESSAGES_PER_CHUNK):
            index = chunk * MESSAGES_PER_CHUNK + number
            data = json.dumps({"index": index}).encode()
            writer.write(channels[index % 2], sent_ns=index, sequence=index, data=data)
        writer.end_chunk()
    writer.finish() if finished else writer.abandon()
    return path.read_bytes()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return recorded_bytes(tmp_path_factory.mktemp("source"))


def chunk_ends(data: bytes) -> list[int]:
    return [
        len(MAGIC) + offset + 9 + len(content)
        for opcode, offset, content in records_in(data[len(MAGIC) :])
        if opcode == CHUNK
    ]


def read_by_standard_reader(path: Path) -> list[int]:
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        indexes = [json.loads(message.data)["index"] for _, _, message in reader.iter_messages()]
        assert summary.statistics.message_count == len(indexes)
        assert sum(summary.statistics.channel_message_counts.values()) == len(indexes)
        return indexes


@given(data=st.data())
def test_a_file_cut_anywhere_is_readable_up_to_its_last_whole_chunk(
    data: st.DataObject, source: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cut = data.draw(st.integers(0, len(source)))
    path = tmp_path_factory.mktemp("cut") / "cut.mcap"
    path.write_bytes(source[:cut])
    repaired = repair(path)
    whole = sum(end <= cut for end in chunk_ends(source))
    assert read_by_standard_reader(path) == list(range(whole * MESSAGES_PER_CHUNK))
    assert repaired is not None and repaired.messages == whole * MESSAGES_PER_CHUNK and repaired.chunks == whole
    assert list(path.parent.iterdir()) == [path]


@given(data=st.data())
def test_one_flipped_bit_costs_no_more_than_its_own_chunk_or_what_follows(
    data: st.DataObject, source: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    position = data.draw(st.integers(0, len(source) - 1))
    broken = bytearray(source)
    broken[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "flip.mcap"
    path.write_bytes(broken)
    repair(path)
    kept = read_by_standard_reader(path)
    before = sum(end <= position for end in chunk_ends(source)) * MESSAGES_PER_CHUNK
    assert kept[:before] == list(range(before))
    assert kept == sorted(kept)


def test_a_damaged_chunk_in_the_middle_is_left_out_and_the_rest_stays(source: bytes, tmp_path: Path) -> None:
    broken = bytearray(source)
    broken[chunk_ends(source)[1] - 10] ^= 0xFF
    path = tmp_path / "run.mcap"
    path.write_bytes(broken)
    repaired = repair(path)
    assert repaired is not None and repaired.damaged_chunks == 1
    assert read_by_standard_reader(path) == [*range(5), *range(10, 20)]


def test_a_repaired_file_equals_a_finished_one_in_content_and_metadata(source: bytes, tmp_path: Path) -> None:
    recorded_bytes(tmp_path, finished=True)
    path = tmp_path / "run.mcap"
    path.write_bytes(source)
    repair(path)
    assert is_finished(path)
    assert list(read_messages(path)) == list(read_messages(tmp_path / "source.mcap"))
    assert read_metadata(path)["run_id"] == "run-1"
    with path.open("rb") as file:
        assert [record.name for record in make_reader(file).iter_metadata()] == [METADATA_NAME]


def test_a_finished_file_and_a_file_that_is_written_are_left_alone(tmp_path: Path) -> None:
    finished = recorded_bytes(tmp_path, finished=True)
    writer = McapWriter(tmp_path / "open.mcap", {}, wall_offset_ns=0)
    assert repair(tmp_path / "source.mcap") is None
    assert repair(tmp_path / "open.mcap") is None
    assert unfinished(tmp_path) == []
    writer.abandon()
    assert unfinished(tmp_path) == [tmp_path / "open.mcap"]
    assert (tmp_path / "source.mcap").read_bytes() == finished


def test_an_interrupted_repair_leaves_the_original(source: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(source)
    steps = repair_steps(path)
    next(steps)
    steps.close()
    assert path.read_bytes() == source
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_refuses_leaves_the_original(source: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(source)
    with largest_file(len(source) // 2), pytest.raises(OSError):
        repair(path)
    assert path.read_bytes() == source
    assert list(tmp_path.iterdir()) == [path]
    assert repair(path) is not None


def test_a_killed_repair_is_done_again(source: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(source)
    leftover = path.with_name("run.mcap.repair")
    leftover.write_bytes(os.urandom(100))
    repair(path)
    assert counts_by_topic(path) == {"a/x": 10, "b/y": 10}
    assert not leftover.exists()
