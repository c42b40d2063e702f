"""`cardan control`: who drives, why, since when, and within which limits."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from cardan.runtime.cli.control_causes import last_interruption, meaning
from cardan.runtime.cli.control_facts import Change, Verdict, changes, verdict_of, verdict_topic
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.main import main
from cardan.runtime.cli.runs import run_label
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import Plan, write_plan
from cardan.runtime.record.files import recording_path
from cardan.runtime.record.mcap_writer import McapWriter
from cardan.runtime.vitals import RunState, Vitals

DRIVE = (
    ("disabled", "start"),
    ("pre-enabled", "driver-engage"),
    ("enabled", "armed"),
    ("soft-disabling", "command:stale"),
    ("safe-stop", "not-recovered:command:stale"),
    ("disabled", "standstill"),
)
ENVELOPE = {"accel_mps2": {"minimum": -3.5, "maximum": 2.0, "rate_per_s": 10.0}}


def verdict(engagement: str, cause: str) -> Verdict:
    return verdict_of({"engagement": engagement, "cause": cause, "accepted": engagement == "enabled", "reason": "ok"})


def history(*states: tuple[str, str]) -> list[Change]:
    return changes((number, verdict(*state)) for number, state in enumerate(states) for _ in range(3))


@pytest.fixture
def last(tmp_path: Path, plan: Plan, driven: Vitals, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that has ended, whose recording has the verdicts of DRIVE."""
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    driven.words[Vitals.RUN_STATE] = RunState.STOPPED
    run_id = f"{run_label(driven.words[Vitals.STARTED_WALL_NS])}-beef"
    folder = tmp_path / "data" / "last"
    for made in (folder, tmp_path / "data" / "logs" / run_id, tmp_path / "data" / "recordings"):
        made.mkdir(parents=True)
    recorder = msgspec.structs.replace(plan.nodes[3], use="cardan.runtime.record.recorder:Recorder")
    kept = msgspec.structs.replace(plan, envelope=ENVELOPE, nodes=[*plan.nodes[:3], recorder])
    write_plan(kept, folder / "plan.json")
    (folder / "vitals").write_bytes((tmp_path / "vitals").read_bytes())
    record(recording_path(tmp_path / "data", run_id), clock)
    return tmp_path / "data"


def record(path: Path, clock: FakeClock) -> None:
    writer = McapWriter(path, {}, wall_offset_ns=clock.wall_ns() - clock.now_ns())
    topics = {name: writer.add_channel(name, "x", b"{}", {"type": "x:Y"}) for name in ("bridge/verdict", "a/b")}
    for number, state in enumerate(state for state in DRIVE for _ in range(3)):
        data = msgspec.json.encode(verdict(*state))
        writer.write(topics["a/b"], sent_ns=clock.now_ns(), sequence=number, data=b"{}")
        writer.write(topics["bridge/verdict"], sent_ns=clock.now_ns(), sequence=number, data=data)
        clock.advance_s(0.01)
    writer.finish()


def test_a_change_is_where_the_engagement_changes_and_has_the_cause_of_that_verdict() -> None:
    found = history(*DRIVE)
    assert [(item.before, item.after) for item in found][:2] == [
        ("disabled", "pre-enabled"),
        ("pre-enabled", "enabled"),
    ]
    assert [item.cause for item in found] == [cause for _, cause in DRIVE[1:]]
    assert [item.wall_ns for item in found] == [1, 2, 3, 4, 5]


def test_the_first_cause_of_an_interruption_comes_first_and_what_came_of_it_follows() -> None:
    chain = last_interruption(history(*DRIVE))
    assert [item.cause for item in chain] == ["command:stale", "not-recovered:command:stale", "standstill"]


def test_control_that_came_back_was_interrupted() -> None:
    chain = last_interruption(history(*DRIVE[:4], ("enabled", "recovered"), ("overriding", "driver-gas")))
    assert [item.cause for item in chain] == ["command:stale", "recovered"]


def test_control_that_could_not_begin_has_a_cause() -> None:
    chain = last_interruption(history(*DRIVE[:2], ("disabled", "not-armed:bus (silent:MOTION)")))
    assert [item.cause for item in chain] == ["not-armed:bus (silent:MOTION)"]


def test_a_driver_who_overrides_does_not_interrupt() -> None:
    assert last_interruption(history(*DRIVE[:3], ("overriding", "driver-gas"), ("enabled", "recovered"))) == []


def test_every_kind_of_cause_has_a_meaning() -> None:
    assert meaning("bus:silent:MOTION") == (
        "a message of the vehicle stopped coming",
        "look at the bus: `cardan can health`",
    )
    assert meaning("driver-brake") == ("the driver braked", "")
    assert meaning("quux") == ("", "")


def test_state_of_the_last_run_is_how_it_ended(last: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "state"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "disabled  small on bench, at the end of the last run"
    assert lines[1].split(maxsplit=1) == ["cause", "standstill: the safe stop was complete"]


def test_why_says_the_first_cause_and_what_to_do(last: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "why"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "command:stale: control sent no new command for three periods"
    assert lines[1] == "  hint: is it running? `cardan status`"
    assert len(lines) == 3 + 3


def test_history_lists_every_change_with_its_cause(last: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "history"]) == 0
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["time", "(UTC)", "from", "to", "cause"]
    assert first.split()[2:] == ["disabled", "pre-enabled", "driver-engage"]
    assert len(rest) == 4


@pytest.mark.parametrize("verb", ["state", "why", "history", "limits"])
def test_every_command_has_a_document(last: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert main(["control", verb, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["live"]) == (1, False)
    assert document["run"].endswith("-beef")


def test_limits_are_shown_as_declared_with_their_hash(last: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "limits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0000000000000000  envelope of small"
    assert lines[1] == "accel_mps2"
    assert lines[2].split() == ["minimum", "-3.5"]


def test_a_run_without_a_recording_has_no_history(last: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (last / "recordings").iterdir():
        path.unlink()
    for verb in ("state", "why", "history"):
        assert main(["control", verb]) == 3
        assert "has no recording" in capsys.readouterr().err


def test_a_vehicle_without_a_bridge_cannot_be_engaged(plan: Plan) -> None:
    assert verdict_topic(plan) == "bridge/verdict"
    with pytest.raises(NoDataError, match="small has no bridge"):
        verdict_topic(msgspec.structs.replace(plan, nodes=plan.nodes[:2]))
