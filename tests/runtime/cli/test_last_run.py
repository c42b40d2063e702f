"""The commands that look at a run go on working when it has ended, and whatever its files have become."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardan.runtime.cli.main import main
from cardan.runtime.cli.runs import run_label
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import Plan, write_plan
from cardan.runtime.vitals import RunState, Vitals


@pytest.fixture
def last(
    tmp_path: Path, plan: Plan, driven: Vitals, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """A run that has ended in order: its plan and its vitals, as they are kept."""
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    driven.words[Vitals.RUN_STATE] = RunState.STOPPED
    folder = tmp_path / "data" / "last"
    folder.mkdir(parents=True)
    started = run_label(driven.words[Vitals.STARTED_WALL_NS])
    for run_id in ("20200101-000000-aaaa", f"{started}-beef", "20990101-000000-cccc"):
        (tmp_path / "data" / "logs" / run_id).mkdir(parents=True)
    write_plan(plan, folder / "plan.json")
    (folder / "vitals").write_bytes((tmp_path / "vitals").read_bytes())
    return folder / "plan.json", folder / "vitals"


def test_status_says_first_how_it_was_and_then_that_it_is_over(
    last: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok  small on bench: 10.0 s"
    assert lines[1].startswith("no run is active; this is the last one, it ended ")
    assert any(line.startswith("photon to CAN   p50 34.6 ms") for line in lines)


def test_status_as_json_says_that_it_is_not_live_and_which_run_it_was(
    last: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["live"], document["state"]) == (False, "stopped")
    assert document["run"] == "20231114-223000-beef"
    assert document["summary"]["published"] == 3200


def test_a_run_that_did_not_end_in_order_is_a_finding(
    last: tuple[Path, Path], driven: Vitals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driven.words[Vitals.RUN_STATE] = RunState.RUNNING
    last[1].write_bytes((tmp_path / "vitals").read_bytes())
    assert main(["status"]) == 1
    assert capsys.readouterr().out.startswith("not ok: the supervisor ended without stopping the run in order")


def test_the_topics_of_the_last_run_can_be_listed_but_not_measured(
    last: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["topic", "list"]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[2].split()[:3] == ["camera/frame", "CameraFrame", "200"]
    assert "the last one" in output.err
    assert main(["topic", "hz"]) == 3


def test_another_data_folder_is_looked_into_when_named(
    last: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "empty"))
    assert main(["status"]) == 3
    assert main(["status", "--data-dir", str(tmp_path / "data")]) == 0


LOOKS = (["topic", "lat"], ["topic", "lat", "--json"], ["trace"], ["trace", "--json"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_told_in_a_line_never_in_a_traceback(
    data: st.DataObject, last: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data.draw(st.sampled_from(last))
    whole = path.read_bytes()
    header = data.draw(st.integers(0, min(len(whole), 8000) - 8))
    damage = data.draw(st.binary(min_size=1, max_size=16))
    cut_at = data.draw(st.none() | st.integers(0, len(whole)))
    path.write_bytes((whole[:header] + damage + whole[header + len(damage) :])[:cut_at])
    try:
        for words in (["status"], ["status", "--json"], ["topic", "list"], ["topic", "list", "--json"], *LOOKS):
            assert main(words) in (0, 1, 3)
        assert "unexpectedly" not in capsys.readouterr().err
    finally:
        path.write_bytes(whole)
