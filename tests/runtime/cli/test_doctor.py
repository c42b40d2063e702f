from __future__ import annotations

import json
from pathlib import Path

import pytest

from cardan.runtime.cli import doctor
from cardan.runtime.cli.main import main
from cardan.runtime.doctor.check import Check, failed, passed, unknown

CHECKS = [
    Check("a.good", "is a good?", lambda _: passed("it is")),
    Check("b.bad", "is b good?", lambda _: failed("it is not\x1b[31m", "mend it")),
    Check("c.odd", "is c good?", lambda _: unknown("nobody knows")),
]


@pytest.fixture(autouse=True)
def _three_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "all_checks", lambda: CHECKS)
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path))


def test_what_fails_stands_first_with_what_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    verdict, first, fix, *rest = capsys.readouterr().out.splitlines()
    assert verdict == "1 of 2 checks failed, 1 could not be made here"
    assert first == "FAIL  b.bad   it is not [31m"
    assert fix.strip() == "-> mend it"
    assert rest == ["pass  a.good  it is", "?     c.odd   nobody knows"]


def test_when_nothing_fails_the_exit_code_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "a", "c.odd"]) == 0
    assert capsys.readouterr().out.startswith("ok: 1 checks passed, 1 could not be made here\n")


def test_json_has_every_check_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["verdict"]) == (1, "1 failed")
    assert [check["verdict"] for check in document["checks"]] == ["pass", "fail", "unknown"]
    assert document["checks"][1] == {
        "name": "b.bad",
        "about": "is b good?",
        "verdict": "fail",
        "text": "it is not\x1b[31m",
        "fix": "mend it",
    }


def test_an_unknown_check_names_the_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "b.bat"]) == 2
    assert "b.bad" in capsys.readouterr().err


def test_a_manifest_with_findings_is_examined_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vehicle.toml").write_text('schema = 1\nname = "x"\nprofile = "bench"\n')
    assert main(["doctor", "a.good", "--manifest", str(tmp_path)]) == 0
    assert main(["doctor", "--manifest", str(tmp_path / "absent.toml")]) == 2


def test_engage_asks_the_bridge_of_a_running_vehicle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    assert main(["doctor", "--engage"]) == 3
    assert "no run is active" in capsys.readouterr().err
