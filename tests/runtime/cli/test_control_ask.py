"""`cardan control arm|disarm|reset`: what a person sees, and the exit code, for each answer of a bridge."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.control_port import Answer, Ask, CheckResult, ControlPort, port_path
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import Vitals

GOOD = CheckResult(name="command", passed=True, text="ok", hint="is control running?")
BAD = CheckResult(name="bus", passed=False, text="silent:MOTION", hint="look at the bus")

Script = Callable[[list[Ask]], Answer]
"""What a bridge answers after these questions."""


def standing(engagement: str, cause: str = "start", *checks: CheckResult) -> Answer:
    return Answer(engagement=engagement, cause=cause, checks=list(checks or (GOOD,)))


class FakeBridge:
    """Answers on a real control port, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.script: Script = lambda asked: standing("disabled")
        self.asked: list[Ask] = []
        self._port = ControlPort(port_path(folder, "bridge"))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.001):
            question = self._port.take()
            if question is not None:
                self.asked.append(question)
                self._port.answer(self.script(self.asked))

    @property
    def verbs(self) -> list[str]:
        return [item.verb for item in self.asked]

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._port.close()


@pytest.fixture
def bridge(tmp_path: Path, plan: Plan, vitals: Vitals, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBridge]:
    found = FoundRun(plan, vitals, "20261125-081500-beef", tmp_path, tmp_path / "bus")
    monkeypatch.setattr("cardan.runtime.cli.control_ask.find_run", lambda *_, **__: found)
    monkeypatch.setenv("SUDO_USER", "ada")
    made = FakeBridge(tmp_path)
    yield made
    made.close()


def test_arm_without_yes_only_looks(bridge: FakeBridge, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "arm"]) == 0
    assert (bridge.verbs, bridge.asked[0].who) == (["check"], "ada")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ready to arm: add --yes  (disabled)"
    assert lines[-1].split() == ["ok", "command", "ok"]


def test_every_failed_check_says_what_to_do(bridge: FakeBridge, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.script = lambda asked: standing("disabled", "start", BAD, GOOD)
    assert main(["control", "arm"]) == 4
    head, _, failed, hint, passed = capsys.readouterr().out.splitlines()
    assert head == "not ready to arm  (disabled)"
    assert failed.split() == ["FAIL", "bus", "silent:MOTION"]
    assert hint.strip() == "hint: look at the bus"
    assert passed.split()[0] == "ok"


def test_arm_waits_for_the_decision(bridge: FakeBridge, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.script = lambda asked: (
        standing("enabled", "armed") if len(asked) > 3 else standing("pre-enabled", "engaged-by:ada")
    )
    assert main(["control", "arm", "--yes"]) == 0
    assert bridge.verbs == ["arm", "check", "check", "check"]
    assert capsys.readouterr().out.splitlines()[0] == "armed  (enabled)"


def test_arming_that_fails_is_refused_with_its_cause(bridge: FakeBridge, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.script = lambda asked: (
        standing("pre-enabled") if len(asked) == 1 else standing("disabled", "not-armed:bus (silent:MOTION)", BAD)
    )
    assert main(["control", "arm", "--yes"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "refused  (disabled)"
    assert "not-armed:bus (silent:MOTION): an arming check did not pass in time" in lines[1]


def test_a_bridge_that_is_armed_already_is_left_as_it_is(
    bridge: FakeBridge, capsys: pytest.CaptureFixture[str]
) -> None:
    bridge.script = lambda asked: standing("overriding", "driver-gas")
    assert main(["control", "arm"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "already armed  (overriding)"


def test_disarm_ends_the_engagement_at_once(bridge: FakeBridge, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.script = lambda asked: standing("disabled", "disengaged-by:ada")
    assert main(["control", "disarm"]) == 0
    assert bridge.verbs == ["disarm"]
    assert capsys.readouterr().out.splitlines()[0] == "disarmed  (disabled)"


@pytest.mark.parametrize(
    ("words", "verbs", "code", "head"),
    [
        (["reset"], ["check"], 4, "not reset: is the cause known? then add --yes  (fault-latched)"),
        (["reset", "--yes"], ["check", "reset"], 0, "reset  (disabled)"),
    ],
)
def test_a_latched_fault_is_reset_with_yes_only(
    bridge: FakeBridge, capsys: pytest.CaptureFixture[str], words: list[str], verbs: list[str], code: int, head: str
) -> None:
    bridge.script = lambda asked: (
        standing("disabled", "reset-by:ada")
        if asked[-1].verb == "reset"
        else standing("fault-latched", "second-sender:0x120")
    )
    assert main(["control", *words]) == code
    assert bridge.verbs == verbs
    assert capsys.readouterr().out.splitlines()[0] == head


def test_without_a_fault_there_is_nothing_to_reset(bridge: FakeBridge, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "reset", "--yes"]) == 0
    assert bridge.verbs == ["check"]
    assert capsys.readouterr().out.splitlines()[0] == "no fault is latched  (disabled)"


def test_each_has_a_document(bridge: FakeBridge, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "arm", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["done"], document["engagement"]) == (1, True, "disabled")
    assert document["checks"] == [{"name": "command", "passed": True, "text": "ok", "hint": "is control running?"}]


def test_a_bridge_that_hangs_is_one_line(
    bridge: FakeBridge, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardan.runtime.cli.control_ask.ANSWER_S", 0.01)
    bridge.close()
    assert main(["control", "arm"]) == 3
    assert capsys.readouterr().err.startswith("the bridge does not answer\n  hint: ")


def test_without_a_run_there_is_nobody_to_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path))
    assert main(["control", "arm"]) == 3
    assert capsys.readouterr().err.startswith("no run is active")
