"""The recordings folder: names of parts, and the quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cardan.runtime.record.files import evict, free_room, next_clip, next_part, recording_path, recording_paths
from cardan.runtime.record.mcap_writer import McapWriter


def make(path: Path, size: int, age: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (1000 - age, 1000 - age))
    return path


def test_the_first_file_of_a_run_has_the_name_of_the_run(tmp_path: Path) -> None:
    assert recording_path(tmp_path, "run-1") == tmp_path / "recordings" / "run-1.mcap"
    assert next_part(tmp_path, "run-1") == recording_path(tmp_path, "run-1")


def test_parts_of_a_run_are_found_in_order_and_without_those_of_others(tmp_path: Path) -> None:
    parts = [make(recording_path(tmp_path, "run-1", part), 1) for part in (10, 2, 1)]
    make(recording_path(tmp_path, "run-10"), 1)
    make(recording_path(tmp_path, "run-1.partial"), 1)
    assert recording_paths(tmp_path, "run-1") == parts[::-1]


def test_a_part_that_the_quota_took_is_not_named_again(tmp_path: Path) -> None:
    make(recording_path(tmp_path, "run-1", 3), 1)
    assert next_part(tmp_path, "run-1") == recording_path(tmp_path, "run-1", 4)


@pytest.mark.parametrize(("quota", "left"), [(300, 3), (299, 2), (100, 1), (0, 0)])
def test_the_oldest_recordings_go_first(tmp_path: Path, quota: int, left: int) -> None:
    files = [make(tmp_path / f"{age}.mcap", 100, age) for age in range(3)]
    evict(tmp_path, quota)
    assert sorted(tmp_path.iterdir()) == files[:left]


def test_a_file_that_is_written_is_never_evicted(tmp_path: Path) -> None:
    writer = McapWriter(tmp_path / "open.mcap", {}, wall_offset_ns=0)
    os.utime(writer.path, (1, 1))
    other = make(tmp_path / "other.mcap", 100)
    assert evict(tmp_path, 0) == [other]
    assert writer.path.exists()
    writer.abandon()


def test_clips_are_numbered_and_no_parts_of_the_run(tmp_path: Path) -> None:
    first = make(next_clip(tmp_path, "run-1", "event", "hard-brake"), 1)
    second = make(next_clip(tmp_path, "run-1", "crash", "bump"), 1)
    assert [first.name, second.name] == ["run-1.event-1.hard-brake.mcap", "run-1.crash-2.bump.mcap"]
    assert recording_paths(tmp_path, "run-1") == []
    assert next_part(tmp_path, "run-1") == recording_path(tmp_path, "run-1")


def test_clips_outlive_recordings_of_runs_and_those_of_crashes_outlive_the_others(tmp_path: Path) -> None:
    crash = make(tmp_path / "a.crash-1.x.mcap", 100, age=9)
    event = make(tmp_path / "a.event-2.x.mcap", 100, age=8)
    old, new = make(tmp_path / "a.mcap", 100, age=7), make(tmp_path / "b.mcap", 100, age=1)
    assert evict(tmp_path, 300) == [old]
    assert evict(tmp_path, 200) == [new]
    assert evict(tmp_path, 100) == [event]
    assert list(tmp_path.iterdir()) == [crash]


def test_clips_have_a_quota_of_their_own(tmp_path: Path) -> None:
    events = [make(tmp_path / f"a.event-{age}.x.mcap", 100, age=age) for age in (3, 2, 1)]
    plain = make(tmp_path / "a.mcap", 100, age=9)
    assert evict(tmp_path, 1000, 200) == [events[0]]
    assert plain.exists()


def test_a_full_disk_gets_room_from_recordings_of_runs_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [make(tmp_path / f"{age}.mcap", 100, age) for age in (3, 2, 1)]
    clip = make(tmp_path / "a.event-1.x.mcap", 100, age=9)
    monkeypatch.setattr(
        "cardan.runtime.record.files._free_bytes", lambda folder: 1000 - 100 * len(list(folder.iterdir()))
    )
    assert free_room(tmp_path, 800) == files[:2]
    assert free_room(tmp_path, 5000) == files[2:]
    assert list(tmp_path.iterdir()) == [clip]
