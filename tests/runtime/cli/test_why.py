"""`cardan why` names the first cause that was recorded, its chain, and what was not recorded; it never guesses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.log.record import LogRecord, encode
from cardan.runtime.vitals import NodeVitals, RunState, SeriesVitals, Vitals

START_S = 1000.0
WALL_S = 1_767_225_600.0 - START_S  # it began on 2026-01-01 at 00:00


class Told:
    """A run whose log and topics a test writes; times are seconds since its start."""

    def __init__(self, active: Any, capsys: pytest.CaptureFixture[str]) -> None:
        self.active = active
        self.folder: Path = active.paths.logs
        self.folder.mkdir(parents=True, exist_ok=True)
        self._capsys = capsys

    def log(self, at_s: float, code: str, node: str = "", text: str = "", level: str = "info", **fields: Any) -> None:
        t_s = START_S + at_s
        record = LogRecord(
            t_ns=round(t_s * 1e9), wall_s=WALL_S + t_s, level=level, code=code, node=node, text=text, fields=fields
        )
        with (self.folder / f"{node or 'supervisor'}.log").open("ab") as file:
            file.write(encode(record))

    def turn(self, at_s: float, before: str, after: str, cause: str) -> None:
        text = f"{before} -> {after}: {cause}"
        self.log(at_s, "engagement", "bridge", text, before=before, after=after, cause=cause)

    def send(self, topic: str, times_s: list[float], *, valid: bool = True, **fields: Any) -> None:
        for at_s in times_s:
            self.active.send(topic, fields, sent_ns=round((START_S + at_s) * 1e9), valid=valid)

    def ask(self, *words: str, code: int | None = None) -> dict[str, Any]:
        """The answer as JSON, after it was asked for in words, too."""
        assert main(["why", *words]) in (0, 1)
        shown = self._capsys.readouterr().out
        ended = main(["why", *words, "--json"])
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        assert shown.splitlines()[0] == document["verdict"]
        assert code is None or ended == code
        return document


@pytest.fixture
def told(active: Any, driven: Vitals, capsys: pytest.CaptureFixture[str]) -> Told:
    driven.words[Vitals.STARTED_WALL_NS] = round((WALL_S + START_S) * 1e9)
    return Told(active, capsys)


def chain(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(fact["who"], fact["code"]) for fact in document["chain"]]


def every(step_s: float, begin_s: float, end_s: float) -> list[float]:
    return [begin_s + step_s * n for n in range(round((end_s - begin_s) / step_s))]


# ------------------------------------------------------------------------------------------------------- disengage


def test_the_crash_of_a_node_that_commands_depend_on_is_the_first_cause(told: Told) -> None:
    told.turn(1, "pre-enabled", "enabled", "armed")
    told.log(5.00, "node-crash", "camera", "ended: killed by SIGSEGV", "error")
    told.turn(5.20, "enabled", "soft-disabling", "command:invalid")
    told.turn(6.20, "soft-disabling", "safe-stop", "not-recovered:command:invalid")
    answer = told.ask("disengage", code=1)
    assert answer["cause"]["code"] == "node-crash" and answer["cause"]["who"] == "camera"
    assert answer["cause"]["after_s"] == pytest.approx(-0.2)
    assert "first cause node-crash of camera, 0.200 s before: ended: killed by SIGSEGV" in answer["verdict"]
    assert chain(answer) == [("camera", "node-crash"), ("bridge", "engagement"), ("bridge", "engagement")]
    assert answer["hint"] and len(answer["around"]) == 4


def test_a_hang_that_was_noticed_later_began_before(told: Told) -> None:
    told.turn(1, "pre-enabled", "enabled", "armed")
    told.turn(5.03, "enabled", "soft-disabling", "command:stale")
    told.log(5.10, "node-hung", "control", "no sign of life", "error", silent_ms=100.0, limit_ms=100.0)
    answer = told.ask("disengage", code=1)
    assert (answer["cause"]["code"], answer["cause"]["after_s"]) == ("node-hung", pytest.approx(-0.03))


def test_a_fault_of_somebody_else_is_no_cause(told: Told) -> None:
    told.turn(1, "pre-enabled", "enabled", "armed")
    told.log(4.9, "recorder-disk", "recorder", "the disk is full", "error")
    told.log(4.9, "machine-hot", "camera", "hot", "warning")
    told.turn(5.0, "enabled", "soft-disabling", "command:stale")
    answer = told.ask("disengage", code=1)
    assert answer["cause"]["code"] == "engagement"
    assert any("a fault that made it so: none of control, camera, bridge" in text for text in answer["missing"])


def test_a_fault_before_control_had_recovered_is_no_cause(told: Told) -> None:
    told.log(3.0, "node-crash", "camera", "ended", "error")
    told.turn(3.1, "enabled", "soft-disabling", "command:invalid")
    told.turn(3.5, "soft-disabling", "enabled", "recovered")
    told.turn(5.0, "enabled", "soft-disabling", "command:invalid")
    assert told.ask("disengage")["cause"]["code"] == "engagement"
    assert told.ask("disengage", "--at", "2026-01-01T00:00:03")["cause"]["code"] == "node-crash"


def test_a_driver_who_brakes_is_the_cause_and_nothing_is_wrong(told: Told) -> None:
    told.turn(1, "pre-enabled", "enabled", "armed")
    told.log(4.9, "node-crash", "camera", "ended", "error")
    told.turn(5.0, "enabled", "disabled", "driver-brake")
    answer = told.ask("disengage", code=0)
    assert "driver-brake, the driver braked" in answer["verdict"] and answer["missing"] == []


def test_topics_that_fell_silent_are_told_in_the_order_in_which_they_did(told: Told) -> None:
    told.turn(1, "pre-enabled", "enabled", "armed")
    told.send("camera/frame", every(0.05, 2, 4.0))
    told.send("control/command", every(0.01, 2, 4.5))
    told.send("bridge/verdict", every(0.01, 2, 5.0), engagement="enabled", reason="ok", accel_mps2=0.5)
    told.turn(5.0, "enabled", "soft-disabling", "command:stale")
    answer = told.ask("disengage", code=1)
    assert chain(answer)[:2] == [("camera", "topic-silent"), ("control", "input-stale")]
    assert "camera/frame: no message for" in answer["cause"]["text"]
    assert {row["engagement"] for row in answer["signals"]} == {"enabled"}
    assert answer["signals"][-1]["accel_mps2"] == 0.5


def test_an_input_that_was_called_invalid_is_told(told: Told) -> None:
    told.turn(1, "pre-enabled", "enabled", "armed")
    told.send("camera/frame", every(0.05, 2, 5.0), valid=False)
    told.turn(5.0, "enabled", "soft-disabling", "command:invalid")
    answer = told.ask("disengage")
    assert (answer["cause"]["who"], answer["cause"]["code"]) == ("control", "input-invalid")


def test_a_run_in_which_control_drove_on(told: Told) -> None:
    told.turn(1, "pre-enabled", "enabled", "armed")
    assert "has not been interrupted" in told.ask("disengage", code=0)["verdict"]


def test_without_a_log_and_a_recording_the_answer_is_not_recorded(told: Told) -> None:
    answer = told.ask("disengage", code=1)
    assert answer["verdict"].startswith("not recorded: ") and answer["cause"] is None


# --------------------------------------------------------------------------------------------------------- restart


def test_the_last_words_of_a_node_are_the_cause_of_its_restart(told: Told) -> None:
    told.log(4.99, "crash", "camera", "Traceback ...\nValueError: no frame", "error")
    told.log(5.00, "node-crash", "camera", "ended: exit code 1", "error")
    told.log(5.00, "node-restart", "camera", "restart 1 of 10")
    told.log(5.04, "node-ready", "camera", "ready")
    told.log(9.00, "node-crash", "control", "ended: killed by SIGKILL", "error")
    answer = told.ask("restart", "camera", code=1)
    assert "camera ended" in answer["verdict"] and "crash: ValueError: no frame" in answer["verdict"]
    assert "ready again after 0.04 s" in answer["verdict"]
    assert answer["cause"]["code"] == "crash"
    answer = told.ask("restart", code=1)
    assert "control ended" in answer["verdict"] and "it did not come back" in answer["verdict"]
    assert any("it said nothing" in text for text in answer["missing"])


def test_when_no_node_was_restarted_the_end_of_the_run_before_is_told(told: Told) -> None:
    assert "no node was restarted" in told.ask("restart", code=0)["verdict"]
    before = told.folder.parent / "20251231-235959-aaaa"
    before.mkdir()
    line = encode(LogRecord(t_ns=5, wall_s=WALL_S, level="info", code="node-start", node="", text="", fields={}))
    (before / "supervisor.log").write_bytes(line)
    answer = told.ask("restart", code=1)
    assert "did not end in order" in answer["verdict"] and "its log stops at 2025-12-31" in answer["missing"][0]


# ------------------------------------------------------------------------------------------- late, dropped, the rest


def test_a_node_that_is_woken_late_is_told_from_one_that_takes_long(told: Told, driven: Vitals) -> None:
    plan = told.active.plan
    assert all(node.rate_hz is None for node in plan.nodes)
    words = driven.nodes["control"].words
    words[NodeVitals.MISSED], words[NodeVitals.OVERRUNS] = 3, 1
    answer = told.ask("late", code=1)
    assert answer["verdict"].startswith("control: 3 cycles missed and 1 step too long of 1000")
    assert told.ask("late", "camera", code=0)["verdict"].startswith("camera was not late")


def test_messages_that_came_too_old_are_told(told: Told, driven: Vitals) -> None:
    driven.nodes["control"].series[0].words[SeriesVitals.LATE] = 4
    assert "camera/frame to control.frame: 4 messages" in told.ask("late", code=1)["verdict"]


def test_at_a_time_the_samples_of_the_nodes_answer(told: Told) -> None:
    told.log(20, "nodes-sample", "machine", level="debug", nodes={"control": {"missed": 7, "latest_ms": 31.0}})
    answer = told.ask("late", "--at", "2026-01-01T00:00:15", code=1)
    assert answer["verdict"].startswith("control: 7 cycles missed")
    assert told.ask("late", "--at", "2026-01-01T00:10:15", code=1)["verdict"].startswith("not recorded")


def test_messages_that_a_reader_lost_are_placed_there(told: Told, driven: Vitals) -> None:
    assert "no message was lost" in told.ask("dropped", code=0)["verdict"]
    driven.nodes["control"].series[0].words[SeriesVitals.LOST] = 12
    answer = told.ask("dropped", "camera/frame", code=1)
    assert "camera/frame: control: 12 never arrived" in answer["verdict"]
    assert told.ask("dropped", "camera")["verdict"] == answer["verdict"]


@pytest.mark.parametrize("words", [["dropped", "camrea/frame"], ["late", "contorl"]])
def test_a_name_that_is_not_there_is_a_usage_error(
    told: Told, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *words]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_the_stages_of_a_start_are_told_with_the_last_node(told: Told) -> None:
    told.log(0.4, "run-starting", text="4 nodes", loaded_ms=400.0)
    told.log(0.5, "node-ready", "control", after_ms=20.0)
    told.log(4.0, "node-ready", "camera", after_ms=3500.0)
    told.log(4.1, "run-began", after_ms=4100.0)
    told.turn(5.5, "pre-enabled", "enabled", "armed")
    answer = told.ask("boot", code=1)
    assert "all nodes were let go 4.10 s after" in answer["verdict"]
    assert "the last to be ready was camera, which took 3.50 s" in answer["verdict"]
    assert any("first engaged 5.50 s" in text for text in answer["facts"])


def test_heat_and_memory_are_told_from_the_samples(told: Told) -> None:
    assert told.ask("slow", code=1)["verdict"].startswith("not recorded: ")
    told.log(1, "machine-sample", "machine", level="debug", temp_c=60.0, memory_available_mib=900.0, throttled=1)
    told.log(11, "machine-sample", "machine", level="debug", temp_c=97.0, memory_available_mib=700.0, throttled=4)
    answer = told.ask("slow", code=0)
    assert any("temperature at most 97 C" in text for text in answer["facts"])
    assert any("slowed down for heat: 3 times" in text for text in answer["facts"])
    told.log(11, "machine-throttled", "machine", "the processor was slowed down", "warning")
    answer = told.ask("slow", code=1)
    assert answer["cause"]["code"] == "machine-throttled" and "00:00:11" in answer["verdict"]


def test_uploading_without_an_outbox_is_not_recorded(told: Told) -> None:
    assert told.ask("upload", code=1)["verdict"].startswith("not recorded: ")


def test_what_changed_is_told_against_the_last_run_that_worked(told: Told, driven: Vitals) -> None:
    assert told.ask("changed", code=1)["verdict"].startswith("not recorded: no earlier run")
    driven.words[Vitals.RUN_STATE] = RunState.RUNNING
    worked, failed = (told.folder.parent / f"20251231-00000{n}-aaaa" for n in (1, 2))
    now = msgspec.to_builtins(told.active.plan)
    plan = {**now, "nodes": [{**node, "window_s": 5.0} if node["name"] == "control" else node for node in now["nodes"]]}
    plan["nodes"] = [*plan["nodes"][1:], {"name": "old", "x": 1}]
    for folder, verdict in ((worked, "verdict: ok"), (failed, "verdict: control is lost")):
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps(plan))
        record = LogRecord(t_ns=5, wall_s=WALL_S, level="info", code="run-verdict", node="", text=verdict, fields={})
        (folder / "supervisor.log").write_bytes(encode(record))
    answer = told.ask("changed", code=1)
    assert "since 20251231-000001-aaaa" in answer["verdict"]
    assert answer["facts"] == [
        "plan: node camera is new",
        "plan: node old is gone",
        "plan: nodes.control.window_s: 5.0 -> 60.0",
    ]
    (worked / "plan.json").write_text(json.dumps(now))
    assert told.ask("changed", code=0)["verdict"].startswith("nothing that is recorded has changed")
