"""MCAP files: what standard readers see."""

from __future__ import annotations

import fcntl
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from mcap.reader import make_reader

from cardan.runtime.errors import ConfigError
from cardan.runtime.record import mcap_writer
from cardan.runtime.record.mcap_file import (
    RecordedMessage,
    counts_by_topic,
    read_messages,
    read_metadata,
    unlocked_or_none,
)
from cardan.runtime.record.mcap_writer import McapWriter
from cardan.runtime.record.repair import unfinished

OFFSET_NS = 1_700_000_000_000_000_000


def write_two(path: Path) -> McapWriter:
    writer = McapWriter(path, {"run_id": "run-1"}, wall_offset_ns=OFFSET_NS)
    channel = writer.add_channel("a/b", "Message", b'{"type":"object"}', {"type": "module:Message"})
    writer.write(channel, sent_ns=5, sequence=2**32 + 1, data=b'{"x":1}')
    writer.write(channel, sent_ns=6, sequence=2**32 + 2, data=b'{"x":2}')
    return writer


def test_a_standard_reader_sees_wall_time_and_the_monotonic_stamp(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    write_two(path).finish()
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        messages = [message for _, _, message in reader.iter_messages()]
    assert summary is not None and summary.statistics is not None and summary.statistics.message_count == 2
    assert [(message.log_time, message.publish_time) for message in messages] == [
        (OFFSET_NS + 5, 5),
        (OFFSET_NS + 6, 6),
    ]


def test_our_reader_gives_topic_type_sequence_and_data(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    write_two(path).finish()
    expected = RecordedMessage("a/b", "module:Message", 1, OFFSET_NS + 5, 5, b'{"x":1}', schema="Message")
    assert next(read_messages(path)) == expected
    assert counts_by_topic(path, path) == {"a/b": 4}


def test_the_metadata_names_the_run_and_the_clock_offset(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    write_two(path).finish()
    assert read_metadata(path) == {"run_id": "run-1", "wall_minus_monotonic_ns": str(OFFSET_NS)}


def test_messages_of_closed_chunks_are_readable_while_the_file_is_open(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    writer = write_two(path)
    assert counts_by_topic(path) == {}
    writer.end_chunk()
    assert counts_by_topic(path) == {"a/b": 2}
    writer.abandon()


def test_a_file_that_is_written_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    writer = write_two(path)
    with unlocked_or_none(path) as descriptor:
        assert descriptor is None
    writer.finish()
    with unlocked_or_none(path) as descriptor:
        assert descriptor is not None


def test_who_looks_for_unfinished_files_never_gets_the_lock_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = ExitStack()

    def lock_after_a_look(descriptor: int, how: int) -> None:
        """Somebody looks at every file of the folder, and is still at it when its writer wants the lock."""
        for path in list(tmp_path.glob("*.mcap")):
            looking.enter_context(unlocked_or_none(path))
        flock(descriptor, how)

    flock = fcntl.flock
    monkeypatch.setattr(mcap_writer, "fcntl", SimpleNamespace(**{**vars(fcntl), "flock": lock_after_a_look}))
    with looking:
        writer = write_two(tmp_path / "run.mcap")
    assert unfinished(tmp_path) == [], "it has its name, and its writer has its lock"
    writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["run.mcap"]


def test_what_a_killed_process_left_without_a_name_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".run.mcap.new").write_bytes(b"half of a header")
    write_two(tmp_path / "run.mcap").finish()
    assert counts_by_topic(tmp_path / "run.mcap") == {"a/b": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["run.mcap"]


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.mcap"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        write_two(path)
    assert path.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["run.mcap"]


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigError, match=r"zstandard is not installed\n  hint: pip install 'cardan\[record\]'"):
        write_two(tmp_path / "run.mcap")
