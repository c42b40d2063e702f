import os
from pathlib import Path

import pytest

from cardan.runtime import run
from cardan.runtime.errors import RunError


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    return tmp_path / "data"


def test_a_run_folder_is_private(data_dir: Path) -> None:
    paths = run.new_run(data_dir, "20261121-081500")
    assert paths.run_id.startswith("20261121-081500-")
    assert paths.run_dir.stat().st_mode & 0o777 == 0o700
    assert paths.bus.is_dir()
    assert paths.frames.is_dir()


def test_a_run_is_alive_while_its_lock_is_held(data_dir: Path) -> None:
    paths = run.new_run(data_dir, "t")
    assert not run.is_alive(paths)
    descriptor = run.hold_lock(paths)
    run.point_current(paths)
    assert run.is_alive(paths)
    found = run.current_run(data_dir)
    assert found is not None
    assert found.run_id == paths.run_id
    os.close(descriptor)
    assert run.current_run(data_dir) is None


def test_without_any_run_there_is_no_current_one(data_dir: Path) -> None:
    assert run.current_run(data_dir) is None


def test_dead_runs_are_swept_and_living_ones_are_not(data_dir: Path) -> None:
    dead, alive = run.new_run(data_dir, "a"), run.new_run(data_dir, "b")
    os.close(run.hold_lock(dead))
    descriptor = run.hold_lock(alive)
    run.point_current(alive)
    assert run.sweep_dead_runs(data_dir) == [dead.run_id]
    assert not dead.run_dir.exists()
    assert alive.run_dir.exists()
    os.close(descriptor)
    run.sweep(alive)
    assert list(run.runs_folder().iterdir()) == []


def test_the_last_plan_and_vitals_are_kept(data_dir: Path) -> None:
    paths = run.new_run(data_dir, "a")
    paths.plan.write_text("plan")
    paths.vitals.write_text("vitals")
    run.keep_last(paths)
    run.sweep(paths)
    assert (paths.last / "plan.json").read_text() == "plan"
    assert (paths.last / "vitals").read_text() == "vitals"


def test_the_rings_of_the_last_run_are_kept_and_those_of_an_earlier_one_go(data_dir: Path) -> None:
    for topic in ("early", "late"):
        paths = run.new_run(data_dir, topic)
        (paths.bus / f"node.{topic}.ring").write_text(topic)
        (paths.bus / "node.sock").write_text("")
        run.keep_last(paths)
    assert {path.name: path.read_text() for path in paths.last_bus.iterdir()} == {"node.late.ring": "late"}


def test_the_evidence_of_a_run_that_nobody_cleaned_up_is_kept_unless_a_later_one_has_ended(data_dir: Path) -> None:
    for number, text in enumerate(("old", "dead")):
        paths = run.new_run(data_dir, text)
        paths.plan.write_text(text)
        os.utime(paths.plan, ns=(number, number))
        paths.vitals.write_text(text)
        os.close(run.hold_lock(paths))
    run.sweep_dead_runs(data_dir)
    assert (paths.last / "plan.json").read_text() == "dead"
    late = run.new_run(data_dir, "late")
    late.plan.write_text("late")
    os.utime(late.plan, ns=(1, 1))
    os.close(run.hold_lock(late))
    run.sweep_dead_runs(data_dir)
    assert (paths.last / "plan.json").read_text() == "dead"


def test_only_the_newest_logs_are_kept(data_dir: Path) -> None:
    for number in range(run.KEPT_LOGS + 3):
        (data_dir / "logs" / f"{number:03}").mkdir(parents=True)
    run.sweep_dead_runs(data_dir)
    assert min(path.name for path in (data_dir / "logs").iterdir()) == "003"


def test_a_run_folder_that_cannot_be_made_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "file" / "runs"))
    with pytest.raises(RunError, match="CARDAN_RUN_DIR"):
        run.new_run(tmp_path / "data", "t")


def test_the_data_folder_is_the_environments_then_the_profiles_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CARDAN_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert run.data_folder() == tmp_path / "cardan"
    assert run.data_folder("/srv/cardan") == Path("/srv/cardan")
    monkeypatch.setenv("CARDAN_DATA_DIR", "/elsewhere")
    assert run.data_folder("/srv/cardan") == Path("/elsewhere")


def test_runs_live_in_shared_memory_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARDAN_RUN_DIR", raising=False)
    assert run.runs_folder() == Path(f"/dev/shm/cardan-{os.getuid()}")


def test_a_free_port_is_a_port() -> None:
    assert 1024 <= run.pick_free_port() <= 65535
