"""The files of all writers are one log: in the order of time, filtered, and followed."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.log.read import Follower, known_runs, read_log, wanted
from cardan.runtime.log.record import LogRecord, encode


def record(t_ns: int, node: str = "", level: str = "info", code: str = "note") -> LogRecord:
    return LogRecord(t_ns=t_ns, wall_s=t_ns / 1e9, level=level, code=code, node=node, text="", fields={})


def write(path: Path, *records: LogRecord) -> None:
    with path.open("ab") as file:
        file.writelines(map(encode, records))


def test_the_files_of_all_writers_are_merged_by_time(tmp_path: Path) -> None:
    write(tmp_path / "supervisor.log", record(2), record(5, "bridge"))
    write(tmp_path / "bridge.log.1", record(1, "bridge"))
    write(tmp_path / "bridge.log", record(3, "bridge"), record(4, "bridge"))
    (tmp_path / "plan.json").write_text("{}")
    assert [item.t_ns for item in read_log(tmp_path)] == [1, 2, 3, 4, 5]


def test_a_folder_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none") == []
    assert known_runs(tmp_path / "none") == []


def test_records_are_chosen_by_node_level_and_code() -> None:
    is_wanted = wanted(["bridge"], "warning", [])
    assert is_wanted(record(1, "bridge", "error")) and is_wanted(record(1, "bridge", "warning"))
    assert not is_wanted(record(1, "bridge")) and not is_wanted(record(1, "camera", "error"))
    assert wanted(["supervisor"], "info", [])(record(1)) and not wanted(["supervisor"], "info", [])(record(1, "can"))
    assert wanted([], "debug", ["engagement"])(record(1, "bridge", "info", "engagement"))
    assert not wanted([], "debug", ["engagement"])(record(1, "bridge", "error"))


def test_a_follower_sees_what_is_added_and_nothing_twice(tmp_path: Path) -> None:
    write(tmp_path / "bridge.log", record(1, "bridge"))
    follower = Follower(tmp_path)
    assert follower.take() == []
    write(tmp_path / "bridge.log", record(3, "bridge"))
    write(tmp_path / "camera.log", record(2, "camera"))
    assert [item.t_ns for item in follower.take()] == [2, 3]
    assert follower.take() == []


def test_a_follower_waits_for_the_rest_of_a_line_and_survives_a_new_file(tmp_path: Path) -> None:
    path, whole = tmp_path / "bridge.log", encode(record(9, "bridge"))
    path.write_bytes(b"")
    follower = Follower(tmp_path)
    path.write_bytes(whole[:20])
    assert follower.take() == []
    with path.open("ab") as file:
        file.write(whole[20:])
    assert [item.t_ns for item in follower.take()] == [9]
    path.replace(tmp_path / "bridge.log.1")
    write(path, record(10, "bridge"))
    assert [item.t_ns for item in follower.take()] == [10]
