from __future__ import annotations

import threading
from collections.abc import Iterator
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


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_check_that_hangs_ends_with_unknown_and_the_others_have_their_answers(
    subject: Subject, released: threading.Event
) -> None:
    def hang(_: Subject) -> Result:
        released.wait()
        return passed("never")

    checks = [Check("a.hangs", "?", hang, limit_s=0.05), Check("b.works", "?", lambda _: passed("yes"))]
    results = examine(checks, subject)
    assert results["b.works"] == passed("yes")
    assert results["a.hangs"].verdict is Verdict.UNKNOWN
    assert "no answer within 0.05 s" in results["a.hangs"].text


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
