"""`cardan node`: rows, one node, a restart, and the classes that are there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.cli.node_rows import node_rows, require_node, row_lines, verdict_of_nodes
from cardan.runtime.cli.snapshot import take_snapshot
from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import CardanError
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeState, NodeVitals, Vitals


class Run(Protocol):
    """The fixture `active`."""

    def make_ring(self, topic: str) -> None: ...


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_row_says_what_its_process_does_and_has(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    words = driven.nodes["camera"].words
    words[NodeVitals.PID], words[NodeVitals.READY_NS] = 4711, clock.now_ns() - 10_000_000_000
    words[NodeVitals.POLICY], words[NodeVitals.NICE], words[NodeVitals.READ_BACK_NS] = os.SCHED_OTHER, -10, 1
    row = node_rows(take_snapshot(plan, driven, clock.now_ns()))[0]
    assert (row.name, row.state, row.pid, row.rate_hz, row.scheduling) == (
        "camera",
        "running",
        4711,
        100.0,
        "other, nice -10",
    )
    assert row.late_ms is not None and row.step_ms is not None
    assert row.step_age_s == 0.005


def test_the_verdict_names_the_first_node_that_is_not_well(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    assert verdict_of_nodes(node_rows(take_snapshot(plan, driven, clock.now_ns())), live=True) == "ok"
    driven.nodes["bridge"].words[NodeVitals.STATE] = NodeState.BACKING_OFF
    rows = node_rows(take_snapshot(plan, driven, clock.now_ns()))
    assert verdict_of_nodes(rows, live=True) == "bridge is backing-off"
    assert verdict_of_nodes(rows, live=False) == "ok", "a run that is over has no node that is away"
    assert [line.role for line in row_lines(rows)] == ["title", "plain", "plain", "bad", "plain"]
    driven.nodes["control"].report_fault(1, "crash", "division by zero")
    rows = node_rows(take_snapshot(plan, driven, clock.now_ns()))
    assert verdict_of_nodes(rows, live=True) == "control: division by zero"


def test_a_name_that_is_no_node_of_the_run_is_refused_with_those_that_are(
    plan: Plan, driven: Vitals, clock: FakeClock
) -> None:
    with pytest.raises(CardanError) as refused:
        require_node(take_snapshot(plan, driven, clock.now_ns()), "contrl")
    assert "control" in str(refused.value.hint)


@pytest.mark.usefixtures("active")
def test_list_and_info_tell_the_same_of_a_live_run(driven: Vitals, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "list", "--json"]) == 0
    listed = document(capsys)
    assert [row["name"] for row in listed["nodes"]] == ["camera", "control", "bridge", "recorder"]
    assert main(["node", "info", "bridge", "--json"]) == 0
    info = document(capsys)
    assert info["node"]["use"] == listed["nodes"][2]["use"]
    assert [item["edge"]["topic"] for item in info["inputs"]] == ["control/command"]
    assert [item["topic"] for item in info["outputs"]] == ["bridge/verdict", "bridge/sent"]
    assert info["metrics"] == [
        {"name": "safe_stops", "unit": "count", "count": 0, "mean": None, "p99": None, "max": None}
    ]
    assert main(["node", "info", "bridge"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("ok: bridge is running\n")
    assert "control/command" in said and "safe_stops" in said


@pytest.mark.usefixtures("active")
def test_a_node_with_a_fault_is_a_finding(driven: Vitals, capsys: pytest.CaptureFixture[str]) -> None:
    driven.nodes["camera"].report_fault(1, "crash", "no device")
    assert main(["node", "info", "camera"]) == 1
    assert capsys.readouterr().out.startswith("not ok: camera: no device\n")


@pytest.mark.usefixtures("driven")
def test_nothing_is_restarted_while_nobody_knows_who_drives(active: Run, capsys: pytest.CaptureFixture[str]) -> None:
    active.make_ring("bridge/verdict")
    assert main(["node", "restart", "camera", "--yes"]) == 4
    assert "the bridge does not say who drives" in capsys.readouterr().err


def test_a_class_of_somebodys_own_is_described_like_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lamps.py").write_text(
        "from cardan.runtime.node import Input, Node, NodeConfig\n"
        "from cardan.runtime.messages import VehicleState\n\n\n"
        "class LampConfig(NodeConfig, frozen=True):\n"
        "    bright: bool = False\n"
        '    """At night."""\n\n\n'
        "class Lamp(Node):\n"
        '    """Lights the way."""\n\n'
        "    config: LampConfig\n"
        "    rate_hz = 5.0\n"
        "    state = Input(VehicleState, max_age_s=0.5)\n"
    )
    assert main(["node", "type", "lamps:Lamp", "--beside", str(tmp_path), "--json"]) == 0
    found = document(capsys)
    assert (found["about"], found["rate_hz"]) == ("Lights the way.", 5.0)
    assert found["inputs"] == [
        {"name": "state", "type": "VehicleState", "takes": "the newest, at most 0.5 s old", "optional": False}
    ]
    assert found["settings"][0]["keys"] == [
        {"name": "bright", "type": "true or false", "default": "false", "meaning": "At night."}
    ]
    assert main(["node", "type", "lamps:Lamp", "--beside", str(tmp_path)]) == 0
    assert "bright  (true or false; default: false)" in capsys.readouterr().out


def test_what_is_no_node_is_refused_with_near_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "type", "recoder"]) != 0
    said = capsys.readouterr().err
    assert 'no node is called "recoder"' in said and "recorder" in said


def test_types_lists_every_node_that_a_manifest_may_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "types", "--json"]) == 0
    rows = {row["use"]: row["about"] for row in document(capsys)["types"]}
    assert {"bridge", "recorder", "sim-camera"} <= set(rows)
    assert all(rows.values())
