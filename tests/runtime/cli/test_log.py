"""`cardan log` shows what all writers of a run said, of this run and of earlier ones, and follows what comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.log.record import LogRecord, encode
from cardan.runtime.run import RunPaths, keep_last

DAY_S = 1_767_225_600  # 2026-01-01 00:00:00 UTC


def record(second: float, node: str = "", level: str = "info", code: str = "note", text: str = "") -> LogRecord:
    t_ns, wall_s = round((second + 100_000) * 1e9), DAY_S + second
    return LogRecord(t_ns=t_ns, wall_s=wall_s, level=level, code=code, node=node, text=text, fields={"x": 1})


def write(folder: Path, writer: str, *records: LogRecord) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{writer}.log").open("ab") as file:
        file.writelines(map(encode, records))


@pytest.fixture
def logs(active: Any) -> Path:
    """The log of the active run, and of one that was a day before."""
    folder: Path = active.paths.logs
    write(folder.parent / "20251231-000000-aaaa", "supervisor", record(-86_400, text="long ago"))
    write(
        folder, "supervisor", record(1, text="began"), record(20, "camera", "error", "node-crash", "ended: exit code 1")
    )
    write(folder, "bridge", record(19.5, "bridge", code="engagement", text="enabled -> soft-disabling: command:stale"))
    return folder


def shown(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_records_of_all_writers_stand_in_the_order_of_time(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log"]) == 1, "an error is among them"
    day, *lines = shown(capsys)
    assert day == "2026-01-01 (UTC)"
    assert [line.split()[0] for line in lines] == ["00:00:01.000", "00:00:19.500", "00:00:20.000"]
    assert lines[2].split(maxsplit=4)[1:] == ["error", "camera", "node-crash", "ended: exit code 1"]


def test_records_are_chosen_by_node_level_code_and_count(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "--node", "bridge", "--json"]) == 0
    (line,) = shown(capsys)
    assert json.loads(line) == {
        "schema_version": 1,
        "t_ns": 100_019_500_000_000,
        "wall_s": DAY_S + 19.5,
        "level": "info",
        "code": "engagement",
        "node": "bridge",
        "text": "enabled -> soft-disabling: command:stale",
        "x": 1,
    }
    assert main(["log", "--level", "error", "--json"]) == 1
    assert main(["log", "--code", "note", "--json"]) == 0
    assert main(["log", "--count", "1", "--json"]) == 1
    assert len(shown(capsys)) == 3


def test_a_moment_shows_five_seconds_around_it(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "--at", "2026-01-01T00:00:16", "--json"]) == 1
    assert [json.loads(line)["wall_s"] - DAY_S for line in shown(capsys)] == [19.5, 20]


def test_earlier_runs_are_kept(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "--since", "2025-12-30"]) == 1
    assert any("long ago" in line for line in shown(capsys))


def test_a_follower_ends_by_count_and_by_time(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "-f", "--for", "10ms"]) == 0
    assert shown(capsys) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--node", "brigde"], 'no node "brigde"'),
        (["--level", "loud"], 'no level "loud"'),
        (["--at", "noonish"], "expected a time"),
        (["--count", "0"], "whole number"),
    ],
)
def test_a_word_that_means_nothing_is_a_usage_error(
    logs: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["log", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_run_that_was_kept_is_found_by_its_time(active: Any, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep_last(active.paths)
    active.end()
    later = RunPaths(Path("20260102-000000-cccc"), active.paths.data_dir).logs
    later.mkdir()
    assert main(["status", "--at", "2026-01-01T12:00", "--json"]) == 1, "it did not end in order"
    assert json.loads(shown(capsys)[0])["run"] == active.paths.run_id
    assert main(["status", "--at", "2026-01-03", "--json"]) == 3, "of that run only the log is kept"
    assert main(["status", "--at", "2025-01-03"]) == 3
    assert "no run had begun at 2025-01-03" in capsys.readouterr().err


def test_changes_of_engagement_are_told_from_the_log(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"before": "enabled", "after": "soft-disabling", "cause": "command:stale"}
    turn = LogRecord(t_ns=1, wall_s=DAY_S + 30, level="info", code="engagement", node="bridge", text="", fields=fields)
    (logs / "bridge.log").write_bytes(encode(turn))
    assert main(["control", "history", "--json"]) == 0
    assert json.loads(shown(capsys)[0])["changes"] == [{"wall_ns": (DAY_S + 30) * 10**9, **fields}]
    assert main(["control", "why"]) == 0
    assert "command:stale" in shown(capsys)[0]


def test_the_last_recording_is_the_one_of_the_time_that_is_asked_for(
    active: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = active.paths.data_dir / "recordings"
    folder.mkdir(parents=True)
    for run in ("20260101-000000-aaaa", "20260103-000000-bbbb"):
        (folder / f"{run}.mcap").write_bytes(b"")
    assert main(["record", "info", "last", "--at", "2026-01-02"]) == 1, "it was never finished"
    assert "20260101-000000-aaaa" in shown(capsys)[0]
    assert main(["record", "info", "last", "--at", "2025-01-02"]) == 3
