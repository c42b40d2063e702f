"""`cardan install-service`: what it writes, says and refuses; and what `cardan up --service` refuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.service.files import TARGETS, UNIT
from cardan.runtime.service.install import changes_for, closed_to_others, write_changes

TINY = Path(__file__).parent / "tiny"


def install(root: Path, *options: str) -> int:
    return main(["install-service", "--root", str(root), *options])


def test_it_writes_every_file_and_says_what_to_run_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "--manifest", "/etc/cardan/vehicle.toml") == 0
    output = capsys.readouterr().out.splitlines()
    for target in TARGETS:
        file = tmp_path / target.lstrip("/")
        assert any(line.startswith(f"+ {file}  (") for line in output)
        assert file.stat().st_mode & 0o777 == 0o644
    assert f"ExecStart={sys.executable} -m cardan.runtime.cli.main up --service /etc/cardan/vehicle.toml" in (
        (tmp_path / UNIT.lstrip("/")).read_text()
    )
    assert output[-3:] == [
        "next:",
        f"  systemd-sysusers --root={tmp_path}",
        f"  systemctl --root={tmp_path} enable cardan",
    ]
    assert any(line.startswith("note: /etc/cardan/vehicle.toml is not below") for line in output)


def test_it_changes_only_what_differs_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert install(tmp_path) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line[:2] in ("+ ", "~ ")] == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    unit = tmp_path / UNIT.lstrip("/")
    unit.write_text(unit.read_text().replace("WatchdogSec=5", "WatchdogSec=7"))
    assert install(tmp_path) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[:3] == [f"~ {unit}", "    -WatchdogSec=7", "    +WatchdogSec=5"]
    assert "WatchdogSec=5" in unit.read_text()


def test_printing_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "--print") == 0
    output = capsys.readouterr().out
    assert all(f"# {target}\n" in output for target in TARGETS)
    assert list(tmp_path.iterdir()) == []


def test_without_permission_nothing_is_written_and_the_hint_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert install(tmp_path) == 4
    error = capsys.readouterr().err
    assert f"{tmp_path} cannot be written by this user; nothing was changed" in error
    assert "sudo" in error
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_with_findings_is_not_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "vehicle.toml"
    manifest.write_text("schema = 1\nname = 7\n")
    assert main(["install-service", "--manifest", str(manifest), "--print"]) == 1
    assert f"{manifest}:2: name:" in capsys.readouterr().err
    assert main(["install-service", "--manifest", str(tmp_path / "no.toml"), "--print"]) == 2


def test_a_manifest_of_this_computer_is_named_by_its_whole_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(TINY)
    assert main(["install-service", "--manifest", "vehicle.toml", "--print"]) == 0
    assert f" up --service {TINY}/vehicle.toml\n" in capsys.readouterr().out


def test_a_path_below_another_root_has_to_be_absolute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "--manifest", "vehicle.toml") == 2
    assert "absolute path on the vehicle" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_user_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "--user", "root") == 1
    assert "never root" in capsys.readouterr().err


def test_a_file_is_replaced_at_once_or_not_at_all(tmp_path: Path) -> None:
    write_changes(changes_for({"/etc/a": "one\n"}, tmp_path))
    with (tmp_path / "etc/a").open() as reader:
        write_changes(changes_for({"/etc/a": "two\n"}, tmp_path))
        assert reader.read() == "one\n"
    assert (tmp_path / "etc/a").read_text() == "two\n"
    assert [path.name for path in (tmp_path / "etc").iterdir()] == ["a"]


def test_a_folder_that_is_closed_to_others_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner.parent).chmod(0o700)
    found = closed_to_others(inner / "python")
    assert found is not None
    assert tmp_path.is_relative_to(found) or found == inner.parent


@pytest.mark.parametrize("option", [["--for", "1s"], ["--json"]])
def test_a_service_neither_ends_by_time_nor_prints(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", str(TINY), "--service", *option]) == 2
    assert "leave out --for and --json" in capsys.readouterr().err


def test_a_service_with_findings_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    manifest = tmp_path / "vehicle.toml"
    manifest.write_text("schema = 1\nname = 7\n")
    assert main(["up", str(manifest), "--service"]) == 4
    assert f"{manifest}:2: name:" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
