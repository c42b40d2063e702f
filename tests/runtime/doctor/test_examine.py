from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.doctor import examine as examine_module
from cardan.runtime.doctor.check import Check, Result, Subject, Verdict, failed, passed
from cardan.runtime.doctor.examine import all_checks, chosen, examine
from cardan.runtime.errors import RunError
from cardan.runtime.profile import Profile


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(
        profile=Profile(name="test"), plan=None, findings=[], data_dir=tmp_path, clock=MonotonicClock(), root=tmp_path
    )


def hang(subject: Subject) -> Result:
    """As a device that never answers: opening a pipe without a writer. Not to be ended by SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.mkfifo(subject.root / f"device-{os.getpid()}")
    os.open(subject.root / f"device-{os.getpid()}", os.O_RDONLY)
    return passed("never")


def crash(_: Subject) -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    return passed("never")


def test_a_check_that_hangs_ends_with_unknown_and_the_others_have_their_answers(subject: Subject) -> None:
    checks = [Check("a.hangs", "?", hang, limit_s=0.05), Check("b.works", "?", lambda _: passed("yes"))]
    results = examine(checks, subject)
    assert results["b.works"] == passed("yes")
    assert results["a.hangs"].verdict is Verdict.UNKNOWN
    assert "no answer within 0.05 s" in results["a.hangs"].text


def test_one_that_hangs_is_gone_at_once_however_soon_it_is_given_up(subject: Subject) -> None:
    before = _children()
    for _ in range(20):
        examine([Check("a.hangs", "?", hang, limit_s=0.0)], subject)
    begun = _children() - before
    deadline_s = time.monotonic() + 5.0
    while any(_state(pid) not in ("Z", "") for pid in begun):
        assert time.monotonic() < deadline_s, "a check that was given up lives on"


def _children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_all_together_never_take_longer_than_they_may(subject: Subject) -> None:
    checks = [Check(f"a.hangs-{number}", "?", hang, limit_s=60.0) for number in range(5)]
    started_s = time.monotonic()
    results = examine(checks, subject, total_s=0.1)
    assert time.monotonic() - started_s < 5.0
    assert {result.verdict for result in results.values()} == {Verdict.UNKNOWN}


def test_a_check_that_crashes_takes_nothing_with_it(subject: Subject) -> None:
    results = examine([Check("a.crashes", "?", crash), Check("b.works", "?", lambda _: passed("yes"))], subject)
    assert results["a.crashes"] == Result(
        Verdict.UNKNOWN, "the check itself ended: SIGKILL", "what it looks at may be broken: `dmesg | tail`"
    )
    assert results["b.works"] == passed("yes")


def names_its_process(_: Subject) -> Result:
    return passed(str(os.getpid()))


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick checks of these tests count as ours."""
    monkeypatch.setattr(examine_module, "OURS", __name__)


@pytest.mark.usefixtures("sharing")
def test_quick_checks_of_ours_are_made_one_after_the_other_in_one_process(subject: Subject) -> None:
    quick = [Check(f"a.{number}", "?", names_its_process) for number in range(20)]
    results = examine([*quick, Check("b.slow", "?", names_its_process, limit_s=8.0)], subject)
    assert len({results[check.name].text for check in quick}) <= 2, "another one is begun where one is silent for long"
    assert results["b.slow"].text not in {results[check.name].text for check in quick}


@pytest.mark.usefixtures("sharing")
def test_what_hangs_or_crashes_among_them_keeps_no_other_from_its_answer(subject: Subject) -> None:
    checks = [
        Check("a.works", "?", names_its_process),
        Check("b.hangs", "?", hang, limit_s=0.5),
        Check("c.works", "?", names_its_process),
        Check("d.crashes", "?", crash),
        Check("e.works", "?", names_its_process),
    ]
    results = examine(checks, subject)
    assert list(results) == [check.name for check in checks]
    assert [result.verdict for result in results.values()] == [
        Verdict.PASS,
        Verdict.UNKNOWN,
        Verdict.PASS,
        Verdict.UNKNOWN,
        Verdict.PASS,
    ]
    assert results["b.hangs"].text == "no answer within 0.5 s" and "SIGKILL" in results["d.crashes"].text


@pytest.mark.usefixtures("sharing")
def test_a_check_for_which_there_was_no_time_says_so(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine_module, "PATIENCE_NS", 1 << 62)
    checks = [Check("a.hangs", "?", hang), Check("b.waits", "?", names_its_process)]
    results = examine(checks, subject, total_s=0.3)
    assert results["a.hangs"].text.startswith("no answer within 0.") and "no time" in results["b.waits"].text


PLUG_IN = """
import os
from cardan.runtime.doctor.check import Check, passed

def hang(subject):
    os.mkfifo(os.environ["DEVICE"])
    os.open(os.environ["DEVICE"], os.O_RDONLY)
    return passed("never")

CHECKS = (Check("hung.device", "does it answer?", hang, limit_s=1.0),)
"""


@pytest.mark.slow
def test_the_whole_doctor_is_complete_although_a_device_hangs(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "hung-1.0.dist-info").mkdir(parents=True)
    (site / "hung-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: hung\nVersion: 1.0\n")
    (site / "hung-1.0.dist-info" / "entry_points.txt").write_text("[cardan.checks]\nhung = hung_checks:CHECKS\n")
    (site / "hung_checks.py").write_text(PLUG_IN)
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "DEVICE": str(tmp_path / "device"),
        "CARDAN_DATA_DIR": str(tmp_path / "data"),
        "CARDAN_RUN_DIR": str(tmp_path / "runs"),
    }
    command = [sys.executable, "-m", "cardan.runtime.cli.main", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20, check=False)
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["hung.device"]["verdict"] == "unknown"
    assert checks["hung.device"]["text"] == "no answer within 1 s"
    assert len(checks) > 25
    assert all(check["text"] for check in checks.values())


def test_a_check_that_raises_is_unknown_with_its_words(subject: Subject) -> None:
    def ours(_: Subject) -> Result:
        raise RunError("no such run", hint="start one")

    def theirs(_: Subject) -> Result:
        raise ZeroDivisionError("by zero")

    results = examine([Check("a.ours", "?", ours), Check("b.theirs", "?", theirs)], subject)
    assert results["a.ours"] == Result(Verdict.UNKNOWN, "no such run", "start one")
    assert "ZeroDivisionError: by zero" in results["b.theirs"].text


def test_our_checks_are_found_by_entry_point_and_have_names_of_their_own() -> None:
    names = [check.name for check in all_checks()]
    assert len(set(names)) == len(names) >= 20
    assert {name.partition(".")[0] for name in names} >= {
        "machine",
        "storage",
        "clock",
        "service",
        "vehicle",
        "can",
        "engines",
    }


def test_a_plug_in_that_cannot_be_loaded_is_a_check_that_says_so(
    monkeypatch: pytest.MonkeyPatch, subject: Subject
) -> None:
    points = EntryPoints([EntryPoint("lidar", "no_such_module:CHECKS", examine_module.GROUP)])
    monkeypatch.setattr(examine_module, "entry_points", lambda group: points.select(group=group))
    (check,) = all_checks()
    assert check.name == "plugin.lidar"
    result = examine([check], subject)["plugin.lidar"]
    assert result.verdict is Verdict.UNKNOWN
    assert "no_such_module" in result.text


def test_checks_are_chosen_by_name_or_area() -> None:
    checks = [Check(name, "?", lambda _: failed("x", "y")) for name in ("a.one", "a.two", "b.one")]
    assert [check.name for check in chosen(checks, [])] == ["a.one", "a.two", "b.one"]
    assert [check.name for check in chosen(checks, ["a"])] == ["a.one", "a.two"]
    assert [check.name for check in chosen(checks, ["b.one"])] == ["b.one"]
