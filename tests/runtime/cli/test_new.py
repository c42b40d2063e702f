"""`cardan new`: what it writes runs, passes its own test, and covers nothing that is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cardan.runtime.cli.main import main


@pytest.fixture
def vehicle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path / "shuttle"
    assert main(["new", str(folder)]) == 0
    assert "cardan up" in capsys.readouterr().out
    return folder


def test_what_is_written_has_no_finding(vehicle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(vehicle)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("ok  shuttle: 3 nodes, 2 topics")
    assert "range <- range/range" in said


@pytest.mark.slow
def test_what_is_written_passes_its_own_test(vehicle: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=vehicle, capture_output=True, text=True, check=False, timeout=50)
    assert run.returncode == 0, run.stdout + run.stderr


def test_nothing_that_is_there_is_touched(vehicle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (vehicle / "vehicle.toml").write_text("mine")
    assert main(["new", str(vehicle)]) == 4
    assert "is not empty; nothing was written" in capsys.readouterr().err
    assert (vehicle / "vehicle.toml").read_text() == "mine"


def test_a_folder_whose_name_is_no_name_wants_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", str(tmp_path / "My Car")]) == 2
    assert "--name" in capsys.readouterr().err
    assert not (tmp_path / "My Car").exists()
    assert main(["new", str(tmp_path / "My Car"), "--name", "my_car"]) == 0
    assert 'name = "my_car"' in (tmp_path / "My Car" / "vehicle.toml").read_text()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["new", str(tmp_path / "file" / "shuttle")]) == 2
    assert "cannot be written: Not a directory" in capsys.readouterr().err
