"""`cardan status` names what a process was to have, what the first cause means, and how old inputs were."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from cardan.runtime.cli.lines import Line
from cardan.runtime.cli.main import main
from cardan.runtime.cli.settings import all_differences, setting_lines
from cardan.runtime.cli.snapshot import take_snapshot
from cardan.runtime.cli.timing import InputTiming, node_timing
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import Plan, write_plan
from cardan.runtime.profile import RealtimeSettings
from cardan.runtime.vitals import NodeVitals, RunState, SeriesKind, SeriesVitals, Vitals


def in_real_time(plan: Plan, scheduler: str) -> Plan:
    """The plan with control and bridge as real-time nodes."""
    nodes = [
        msgspec.structs.replace(node, realtime=True, priority=50) if node.name in ("control", "bridge") else node
        for node in plan.nodes
    ]
    realtime = msgspec.convert({"scheduler": scheduler}, RealtimeSettings)
    return msgspec.structs.replace(plan, nodes=nodes, profile=msgspec.structs.replace(plan.profile, realtime=realtime))


def read_back(vitals: Vitals) -> None:
    """Every node has a plain process."""
    for node in vitals.nodes.values():
        words = node.words
        words[NodeVitals.POLICY], words[NodeVitals.CORES], words[NodeVitals.THREADS] = os.SCHED_OTHER, 8, 3
        words[NodeVitals.READ_BACK_NS] = 1


def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: Plan, vitals: Vitals) -> None:
    """Leave the run as the last one of a data folder."""
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    vitals.words[Vitals.RUN_STATE] = RunState.STOPPED
    folder = tmp_path / "data" / "last"
    folder.mkdir(parents=True)
    write_plan(plan, folder / "plan.json")
    (folder / "vitals").write_bytes((tmp_path / "vitals").read_bytes())


LACKING = "control, bridge: scheduler: wished fifo 50, has other; allow it: LimitRTPRIO=50 or CAP_SYS_NICE"


@pytest.mark.parametrize(("scheduler", "role"), [("fifo", "bad"), ("fifo-if-allowed", "warning")])
def test_nodes_that_lack_the_same_setting_share_a_line(
    plan: Plan, driven: Vitals, clock: FakeClock, scheduler: str, role: str
) -> None:
    plan = in_real_time(plan, scheduler)
    read_back(driven)
    found = all_differences(plan, take_snapshot(plan, driven, clock.now_ns()))
    assert setting_lines(found) == [Line(""), Line(LACKING, role)]


def test_before_a_node_steps_nothing_is_known_and_nothing_is_said(plan: Plan, driven: Vitals, clock: FakeClock) -> None:
    plan = in_real_time(plan, "fifo")
    assert setting_lines(all_differences(plan, take_snapshot(plan, driven, clock.now_ns()))) == []


@pytest.mark.parametrize(("scheduler", "exit_code"), [("fifo", 1), ("fifo-if-allowed", 0)])
def test_a_setting_that_the_profile_demands_is_a_finding_of_status(
    plan: Plan,
    driven: Vitals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scheduler: str,
    exit_code: int,
) -> None:
    read_back(driven)
    keep(tmp_path, monkeypatch, in_real_time(plan, scheduler), driven)
    assert main(["status"]) == exit_code
    assert LACKING in capsys.readouterr().out


def test_status_says_what_the_code_of_the_first_cause_means_and_what_helps(
    plan: Plan,
    driven: Vitals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen_ns = driven.words[Vitals.STARTED_NS] + 4_000_000_000
    driven.nodes["camera"].report_fault(seen_ns, "can-silent", "no frame for 1 s")
    driven.set_mode(seen_ns, "degraded:blind", "camera has reported a fault")
    keep(tmp_path, monkeypatch, plan, driven)
    assert main(["status"]) == 1
    assert (
        "can-silent, 4.000 s after the start: no frame on a CAN channel for longer than its limit"
        in capsys.readouterr().out
    )
    assert main(["status", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["cause_code"], document["mode"]) == ("can-silent", "degraded:blind")
    assert document["cause_after_s"] == 4.0
    assert "cardan can health" in document["cure"]


def test_a_code_of_somebody_elses_node_has_no_help(
    plan: Plan,
    driven: Vitals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    driven.nodes["camera"].report_fault(5, "my-own", "the lens is dirty")
    keep(tmp_path, monkeypatch, plan, driven)
    assert main(["status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["cure"] == ""


def test_the_timing_of_a_node_has_its_steps_and_the_age_of_its_inputs(
    plan: Plan, driven: Vitals, clock: FakeClock
) -> None:
    series = driven.nodes["control"].find(SeriesKind.INPUT, "frame")
    assert series is not None
    series.words[SeriesVitals.WORST_AGE_NS], series.words[SeriesVitals.RESTARTS] = 61_000_000, 2
    control = next(n for n in take_snapshot(plan, driven, clock.now_ns()).nodes if n.plan.name == "control")
    timing = node_timing(control)
    assert timing.inputs == {"camera/frame": InputTiming(worst_age_ms=61.0, publisher_restarts=2)}
    assert timing.step_ms is not None
    assert timing.step_ms.max == 0.5
