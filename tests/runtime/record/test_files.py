"""The recordings folder: names of parts, and the quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cardan.runtime.record.files import evict, next_part, recording_path, recording_paths
from cardan.runtime.record.mcap_file import McapWriter


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
