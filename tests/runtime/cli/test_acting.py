"""What acts on a vehicle asks first, and is refused while the vehicle moves, is engaged, or does not say."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from cardan.runtime.cli.acting import confirm, reason_against, require_standing
from cardan.runtime.cli.control_facts import Verdict, verdict_of
from cardan.runtime.cli.exits import RefusedError
from cardan.runtime.cli.runs import find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.plan import OutputPlan, Plan

if TYPE_CHECKING:
    from tests.runtime.cli.conftest import Active

STATE = "bridge/state"


@pytest.fixture
def plan(plan: Plan) -> Plan:
    """The small vehicle, whose bridge also says how fast it is."""
    says = OutputPlan(port="state", topic=STATE, type="cardan.runtime.messages:VehicleState")
    nodes = [
        msgspec.structs.replace(node, outputs=[*node.outputs, says]) if node.name == "bridge" else node
        for node in plan.nodes
    ]
    return msgspec.structs.replace(plan, nodes=nodes)


def engaged(monkeypatch: pytest.MonkeyPatch, engagement: str | None) -> None:
    """What the bridge says next; None: nothing."""
    verdict: Verdict | None = verdict_of({"engagement": engagement}) if engagement else None
    monkeypatch.setattr("cardan.runtime.cli.acting.live_verdict_or_none", lambda *_: verdict)


def test_a_vehicle_that_stands_and_is_not_engaged_may_be_acted_on(
    active: Active, monkeypatch: pytest.MonkeyPatch
) -> None:
    engaged(monkeypatch, "disabled")
    active.send(STATE, {"speed_mps": 0.04}, sent_ns=MonotonicClock().now_ns())
    require_standing(find_run(None), MonotonicClock())


@pytest.mark.parametrize(
    ("engagement", "speed", "age_s", "reason"),
    [
        ("enabled", 0.0, 0.0, "the vehicle is engaged (enabled)"),
        ("soft-disabling", 0.0, 0.0, "the vehicle is engaged (soft-disabling)"),
        (None, 0.0, 0.0, "the bridge does not say who drives"),
        ("disabled", 1.5, 0.0, "the vehicle moves (1.5 m/s)"),
        ("disabled", -1.5, 0.0, "the vehicle moves (-1.5 m/s)"),
        ("disabled", 0.0, 5.0, "the speed of the vehicle is not known"),
        ("disabled", float("nan"), 0.0, "the speed of the vehicle is not known"),
        ("disabled", "fast", 0.0, "the speed of the vehicle is not known"),
        ("fault-latched", 9.0, 0.0, "the vehicle moves (9.0 m/s)"),
    ],
)
def test_what_moves_or_is_engaged_or_is_not_known_is_refused(
    active: Active, monkeypatch: pytest.MonkeyPatch, engagement: str | None, speed: Any, age_s: float, reason: str
) -> None:
    engaged(monkeypatch, engagement)
    clock = MonotonicClock()
    monkeypatch.setattr("cardan.runtime.cli.acting.FRESH_S", 0.05)
    active.send(STATE, {"speed_mps": speed}, sent_ns=clock.now_ns() + 10**9 - round(age_s * 2e9))
    assert reason_against(find_run(None), clock) == reason
    with pytest.raises(RefusedError, match="refused: "):
        require_standing(find_run(None), clock)


def test_a_run_without_a_bridge_reaches_no_actuator(active: Active) -> None:
    found = find_run(None)
    alone = replace(found, plan=msgspec.structs.replace(found.plan, nodes=found.plan.nodes[:2]))
    assert reason_against(alone, MonotonicClock()) == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "done"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_person_at_a_terminal_is_asked(typed: str, done: bool) -> None:
    said = io.StringIO()
    if done:
        confirm("clear all codes", yes=False, keyboard=Terminal(typed), said_to=said)
    else:
        with pytest.raises(RefusedError, match="no yes"):
            confirm("clear all codes", yes=False, keyboard=Terminal(typed), said_to=said)
    assert said.getvalue() == "clear all codes? [y/N] "


def test_a_script_has_to_say_yes() -> None:
    with pytest.raises(RefusedError, match="nobody is here to be asked") as refused:
        confirm("clear all codes", yes=False, keyboard=io.StringIO("y\n"))
    assert refused.value.hint == "add --yes"
    confirm("clear all codes", yes=True, keyboard=io.StringIO())
