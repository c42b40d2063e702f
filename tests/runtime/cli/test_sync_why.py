"""`cardan sync why|pause|metered|retry`: reasons from the disk, the first cause first, and the word of a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir, outbox_dir
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.holds import Hold
from cardan.runtime.uplink.links import Link
from cardan.runtime.uplink.status import SyncReport, uplink_dir, write_report
from cardan.runtime.uplink.why import Reason, SyncFacts, Waiting, reasons
from cardan.runtime.uplink.wishes import UplinkWishes, read_wishes

MOBILE = Link(interface="wwan0", kind="mobile", metered=True, because="a link of kind mobile")
REPORT = SyncReport(store="azure://acc/fleet", consent=True, link=MOBILE)
WAITING = Waiting(records=7, complete=2, open=1, damaged=0)
FACTS = SyncFacts(
    waiting={"trend": WAITING},
    running=True,
    report=REPORT,
    wishes=UplinkWishes(),
    files=[],
    free_share=0.5,
    wall_ns=10**18,
)


def facts_with(**changes: Any) -> SyncFacts:
    report = msgspec.structs.replace(REPORT, **changes.pop("report", {}))
    return msgspec.structs.replace(FACTS, report=report, **changes)


def codes(found: list[Reason]) -> list[str]:
    return [reason.code for reason in found]


def test_what_is_complete_is_on_its_way() -> None:
    assert codes(reasons(FACTS)) == ["on-its-way"]
    assert not reasons(FACTS)[0].finding


def test_where_nothing_waits_nothing_is_wrong() -> None:
    nothing = {"trend": msgspec.structs.replace(WAITING, records=0, complete=0)}
    facts = facts_with(waiting=nothing, running=False, report={"problem": "old", "failures": 3})
    assert codes(reasons(facts)) == ["nothing-waits"]


@pytest.mark.parametrize("code", ["consent", "paused", "no-link", "metered", "budget"])
def test_what_holds_classes_back_is_named_with_the_classes(code: Any) -> None:
    hold = Hold(code=code, text="the text")
    waiting = {"trend": WAITING, "bulk": WAITING}
    facts = facts_with(waiting=waiting, report={"holds": {"trend": hold, "bulk": hold, "event": hold}})
    [found] = reasons(facts)
    assert (found.code, found.text, found.classes) == (code, "the text", ("trend", "bulk"))
    assert found.hint and found.finding


def test_a_pause_has_a_name() -> None:
    hold = Hold(code="paused", text="a person paused it")
    facts = facts_with(report={"holds": {"trend": hold}}, wishes=UplinkWishes(paused=("trend",), by="anna"))
    assert reasons(facts)[0].text == "a person paused it (anna)"


@pytest.mark.parametrize("kind", ["unreachable", "busy", "access", "refused"])
def test_the_answer_of_the_store_is_told_with_the_next_try(kind: str) -> None:
    report = {
        "problem": "the store says no\n  hint: try harder",
        "problem_kind": kind,
        "failures": 4,
        "retry_wall_ns": 10**18 + 12 * 10**9,
    }
    [found] = reasons(facts_with(report=report))
    assert found.code == kind
    assert found.text == "the store says no; 4 tries in a row failed, the next try is in 12 s"
    assert found.hint == "try harder"
    report["retry_wall_ns"] = 10**18 - 5
    assert reasons(facts_with(report=report))[0].text.endswith("the next try is due")


def test_everything_else_has_a_reason_too() -> None:
    report = {"refused": {"v1/records/x": "something else"}, "withdrawn": {"trend/1": ("improvement",)}}
    damaged = msgspec.structs.replace(WAITING, damaged=2, complete=0)
    facts = facts_with(report=report, waiting={"trend": damaged}, running=False, free_share=0.001)
    found = reasons(facts)
    assert codes(found) == ["not-running", "withdrawn", "refused-objects", "being-filled", "disk", "damaged"]
    assert "improvement" in found[1].text and "v1/records/x" in found[2].text


def test_a_vehicle_that_never_ran_has_no_report() -> None:
    facts = msgspec.structs.replace(FACTS, report=None, running=False)
    assert codes(reasons(facts)) == ["not-running"]


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    folder = class_dir(outbox_dir(tmp_path), RecordClass.TREND)
    queue = Queue(folder, vehicle="v", boot="b", stream="trend", limits=QueueLimits())
    queue.open()
    queue.append(b"{}", kind=RecordClass.TREND, mono_ns=1, wall_ns=1)
    queue.commit()
    return queue


def test_why_reads_the_disk_and_needs_no_run(tmp_path: Path, queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sync", "why", "--data-dir", str(tmp_path)]
    assert main(words) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "1 record waits: no process empties the outbox at this moment",
        "    hint: `cardan up`; is there a node that uses `uplink` in the manifest?",
    ]
    queue.seal()
    claims = Claims(outbox_dir(tmp_path))
    claims.open()
    hold = Hold(code="metered", text="wwan0 costs money")
    report = SyncReport(
        store="azure://acc/fleet", consent=True, link=MOBILE, holds={"trend": hold}, left_bytes={"trend": 5000}
    )
    write_report(tmp_path, report)
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "1 record waits: wwan0 costs money" in out
    assert "budget: 5.0 kB of trend may leave now over mobile links" in out
    assert "store: azure://acc/fleet over wwan0 (mobile), which costs money: a link of kind mobile" in out
    assert main([*words, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [reason["code"] for reason in document["reasons"]] == ["metered"]
    assert document["running"] is True and document["waiting"]["trend"]["complete"] == 1


def test_without_an_outbox_there_is_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "why", "--data-dir", str(tmp_path)]) == 3
    assert "there is no outbox" in capsys.readouterr().err


def test_a_person_pauses_and_lets_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data-dir", str(tmp_path)]
    assert main(["sync", "pause", "bulk", "trend", *where]) == 0
    assert capsys.readouterr().out.startswith("paused: trend, bulk\n")
    assert main(["sync", "pause", "trend", "--off", *where]) == 0
    assert read_wishes(uplink_dir(tmp_path)).paused == ("bulk",)
    assert main(["sync", "pause", *where]) == 0
    assert "everything is paused" in capsys.readouterr().out
    assert main(["sync", "pause", "--off", *where]) == 0
    assert main(["sync", "metered", "yes", *where, "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["paused"], document["metered"], document["retries"]) == ([], "yes", 0)
    assert main(["sync", "retry", *where]) == main(["sync", "retry", *where]) == 0
    wishes = read_wishes(uplink_dir(tmp_path))
    assert (wishes.retries, wishes.metered) == (2, "yes") and wishes.by and wishes.wall_ns


def test_an_unknown_class_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "pause", "trnd", "--data-dir", str(tmp_path)]) == 2
    assert 'did you mean "trend"?' in capsys.readouterr().err
    assert not uplink_dir(tmp_path).exists()
