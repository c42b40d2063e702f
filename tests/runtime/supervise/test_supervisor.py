"""The supervisor with real processes: start, crash, hang, stop, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cardan.runtime.plan import InputPlan, OutputPlan, read_plan
from cardan.runtime.run import is_alive, new_run
from cardan.runtime.supervise.start import start_supervisor
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, SeriesKind, SeriesVitals, open_vitals

if TYPE_CHECKING:
    from tests.runtime.supervise.conftest import LiveRun, Up

pytestmark = pytest.mark.slow


def counter(up: Up, subscribers: int = 0, name: str = "counter") -> Any:
    output = OutputPlan(port="count", topic=f"{name}/count", type="nodes:Count", subscribers=subscribers)
    return up.node("Counter", name, outputs=[output])


def last_vitals(run: LiveRun) -> Any:
    return open_vitals(run.paths.last / "vitals", read_plan(run.paths.last / "plan.json"))


def test_a_run_starts_runs_and_ends_in_order_with_nothing_left(up: Up, tmp_path: Path) -> None:
    run = up(counter(up), up.node("Idle"))
    run.wait_running()
    run.wait_steps("counter")
    assert is_alive(run.paths)
    start = time.monotonic()
    assert run.stop() == 0
    assert time.monotonic() - start < 1.0
    assert not run.paths.run_dir.exists()
    vitals = last_vitals(run)
    assert vitals.run_state is RunState.STOPPED
    assert vitals.cause == ""
    assert [item.state for item in vitals.nodes.values()] == [NodeState.FINISHED] * 2
    assert [event["code"] for event in run.events("run-ended")] == ["run-ended"]


def test_a_killed_node_is_running_again_with_a_new_process(up: Up) -> None:
    run = up(counter(up), up.node("Idle"))
    run.wait_running()
    before = run.pid("counter")
    os.kill(before, signal.SIGKILL)
    up.wait_until(lambda: run.word("counter", NodeVitals.STARTS) == 2, 1.0)
    run.wait_state("counter", NodeState.RUNNING, 1.0)
    run.wait_steps("counter")
    assert run.pid("counter") != before
    assert run.word("counter", NodeVitals.CRASHES) == 1
    assert run.word("counter", NodeVitals.EXIT_CODE) == -signal.SIGKILL
    assert run.word("idle", NodeVitals.STARTS) == 1
    run.wait_running()
    assert run.stop() == 0


def test_a_node_that_keeps_crashing_is_given_up_and_the_run_says_why(up: Up) -> None:
    run = up(up.node("Idle", critical=True), up.node("Crasher", max_restarts=2))
    run.wait_state("crasher", NodeState.FAILED)
    up.wait_until(lambda: run.vitals.run_state is RunState.DEGRADED)
    assert run.word("crasher", NodeVitals.STARTS) == 3
    assert run.word("crasher", NodeVitals.CRASHES) == 3
    assert run.state("idle") is NodeState.RUNNING
    assert '"crasher" failed: exit code 1, after 2 restarts in 60 s' in run.vitals.cause
    assert "the sensor speaks nonsense" in run.vitals.cause
    assert "hint: see" in run.vitals.cause
    assert run.stop() == 0


def test_a_critical_node_that_is_lost_fails_the_run_but_leaves_the_others_running(up: Up) -> None:
    run = up(up.node("Idle"), up.node("Crasher", critical=True, max_restarts=1))
    run.wait_state("crasher", NodeState.FAILED)
    up.wait_until(lambda: run.vitals.run_state is RunState.FAILED)
    run.wait_steps("idle")
    assert "critical node" in run.vitals.cause
    assert run.stop() == 1


def test_a_critical_node_that_cannot_start_ends_the_run_before_it_began(up: Up) -> None:
    run = up(up.node("Idle"), up.node("DeadOnArrival", critical=True, max_restarts=1))
    assert run.wait_end() == 1
    vitals = last_vitals(run)
    assert vitals.run_state is RunState.FAILED
    assert "no such device" in vitals.cause
    assert vitals.nodes["idle"].words[NodeVitals.STEPS] == 0


def test_a_node_that_cannot_start_does_not_hold_up_the_others_unless_it_is_critical(up: Up) -> None:
    run = up(up.node("Idle"), up.node("DeadOnArrival"))
    run.wait_steps("idle")
    assert run.stop() == 0


def test_a_node_that_finishes_is_not_started_again(up: Up) -> None:
    run = up(up.node("Idle"), up.node("Finisher"))
    run.wait_state("finisher", NodeState.FINISHED)
    assert run.word("finisher", NodeVitals.EXIT_CODE) == 0
    assert run.vitals.run_state is RunState.RUNNING
    assert run.stop() == 0
    assert len(run.events("node-start", "finisher")) == 1


def test_the_run_ends_when_the_node_named_by_stop_when_has_finished(up: Up) -> None:
    run = up(up.node("Idle"), up.node("Finisher"), stop_when="finisher")
    assert run.wait_end() == 0
    assert last_vitals(run).run_state is RunState.STOPPED


def test_a_node_that_somebody_else_asked_to_stop_is_started_again(up: Up) -> None:
    run = up(up.node("Idle"))
    run.wait_running()
    run.wait_steps("idle")
    os.kill(run.pid("idle"), signal.SIGTERM)
    up.wait_until(lambda: run.word("idle", NodeVitals.STARTS) == 2)
    assert run.stop() == 0


@pytest.mark.parametrize("use", ["Idle", "Sleeper"])
def test_a_node_that_hangs_is_killed_and_started_again(up: Up, use: str) -> None:
    run = up(up.node(use, "node"))
    run.wait_running()
    run.wait_steps("node")
    if use == "Idle":
        os.kill(run.pid("node"), signal.SIGSTOP)
    up.wait_until(lambda: run.word("node", NodeVitals.STARTS) >= 2, 2.0)
    assert run.word("node", NodeVitals.HANGS) >= 1
    assert run.word("node", NodeVitals.CRASHES) == 0
    assert 500 <= run.events("node-hung")[0]["silent_ms"] < 800
    assert run.stop() == 0


def test_a_node_that_is_closing_is_not_taken_for_hung(up: Up) -> None:
    run = up(up.node("Idle"), up.node("SlowCloser"))
    run.wait_state("slowcloser", NodeState.FINISHED)
    assert run.word("slowcloser", NodeVitals.HANGS) == 0
    assert run.stop() == 0


def test_a_node_that_ignores_sigterm_is_killed_after_its_time_out(up: Up) -> None:
    run = up(up.node("Stubborn", stop_timeout_s=0.2), up.node("Idle"))
    run.wait_running()
    start = time.monotonic()
    assert run.stop() == 0
    assert 0.2 <= time.monotonic() - start < 1.0
    assert len(run.events("node-kill", "stubborn")) == 1


def test_a_stopped_process_still_stops_in_order(up: Up) -> None:
    run = up(up.node("Idle", stop_timeout_s=5.0))
    run.wait_running()
    run.wait_steps("idle")
    os.kill(run.pid("idle"), signal.SIGSTOP)
    assert run.stop(2.0) == 0


def test_a_node_that_is_not_ready_in_time_is_killed_and_tried_again(up: Up) -> None:
    run = up(up.node("Idle"), up.node("SlowStarter", start_timeout_s=0.2, stop_timeout_s=0.2))
    up.wait_until(lambda: run.word("slowstarter", NodeVitals.STARTS) >= 2)
    assert len(run.events("node-late", "slowstarter")) >= 1
    run.wait_steps("idle")
    assert run.stop() == 0


def test_a_stop_while_nodes_are_starting_leaves_nothing(up: Up) -> None:
    run = up(up.node("SlowStarter", stop_timeout_s=0.2), up.node("Idle"))
    assert run.stop() == 0


def test_a_stop_while_a_node_waits_for_its_restart_starts_nothing(up: Up) -> None:
    run = up(up.node("Idle"), up.node("Crasher", max_restarts=100))
    up.wait_until(lambda: run.word("crasher", NodeVitals.STARTS) >= 5)  # it waits for 0.4 s and more from here on
    run.wait_state("crasher", NodeState.BACKING_OFF)
    starts = run.word("crasher", NodeVitals.STARTS)
    assert run.stop() == 0
    vitals = last_vitals(run)
    assert vitals.nodes["crasher"].words[NodeVitals.STARTS] == starts
    assert vitals.nodes["crasher"].state is NodeState.FINISHED


def test_a_second_interrupt_ends_everything_at_once(up: Up) -> None:
    run = up(up.node("Stubborn", stop_timeout_s=30.0))
    run.wait_running()
    run.process.send_signal(signal.SIGINT)
    up.wait_until(lambda: run.vitals.run_state is RunState.STOPPING)
    run.process.send_signal(signal.SIGINT)
    assert run.wait_end(1.0) == 1


@pytest.mark.parametrize("victim", ["supervisor", "guardian"])
def test_nothing_is_left_two_seconds_after_the_supervisor_or_its_guardian_was_killed(up: Up, victim: str) -> None:
    run = up(counter(up), up.node("Parent"), up.node("Stubborn", stop_timeout_s=30.0))
    run.wait_running()
    run.wait_steps("counter")
    os.kill(run.supervisor_pid if victim == "supervisor" else run.process.pid, signal.SIGKILL)
    up.wait_until(lambda: not up.processes_of(run.paths) and not run.paths.run_dir.exists(), 2.0)
    assert run.wait_end() == (1 if victim == "supervisor" else -signal.SIGKILL)
    vitals = last_vitals(run)
    if victim == "supervisor":
        assert vitals.run_state is RunState.FAILED
        assert "ended: killed by SIGKILL" in vitals.cause


@pytest.mark.parametrize("process", ["fork", "exec"])
def test_what_a_node_started_ends_with_it_even_a_daemon_where_there_are_control_groups(up: Up, process: str) -> None:
    run = up(up.node("Parent", process=process))
    run.wait_running()
    run.wait_steps("parent")
    up.wait_until(lambda: len(up.processes_of(run.paths)) == 5)  # guardian, supervisor, node, its child, its daemon
    (daemon,) = orphans_of(run, up)
    has_group = run.word("parent", NodeVitals.HAS_GROUP)
    assert run.word("parent", NodeVitals.IN_GROUP) == has_group
    os.kill(run.pid("parent"), signal.SIGKILL)
    up.wait_until(lambda: run.word("parent", NodeVitals.STARTS) == 2)
    run.wait_state("parent", NodeState.RUNNING)
    if has_group:
        up.wait_until(lambda: not Path(f"/proc/{daemon}").exists(), 1.0)
    up.wait_until(lambda: len(up.processes_of(run.paths)) == 5 + (not has_group))  # it ends with the run otherwise
    assert run.stop() == 0


WITHOUT_GROUPS = """
from cardan.runtime.supervise.delegation import Delegation
guardian.find_delegation = lambda: Delegation(None, "not handed over")
"""


def test_without_control_groups_the_run_says_so_and_a_daemon_ends_with_the_run(
    up: Up, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = up.start_with(tmp_path / "starter.py", WITHOUT_GROUPS)
    monkeypatch.setattr("cardan.runtime.supervise.start._command", command)
    run = up(up.node("Parent"))
    run.wait_running()
    assert run.vitals.groups_text.startswith("none: not handed over; what a node leaves behind ends with the run")
    assert [event["groups"] for event in run.events("run-groups")] == [run.vitals.groups_text]
    (daemon,) = orphans_of(run, up)
    os.kill(run.pid("parent"), signal.SIGKILL)
    up.wait_until(lambda: run.word("parent", NodeVitals.STARTS) == 2)
    run.wait_state("parent", NodeState.RUNNING)
    assert Path(f"/proc/{daemon}").exists()
    assert run.stop() == 0
    assert not Path(f"/proc/{daemon}").exists()


def test_a_daemon_that_a_node_left_behind_leaves_no_zombie(up: Up) -> None:
    run = up(up.node("Parent"))
    run.wait_running()
    up.wait_until(lambda: len(orphans_of(run, up)) == 1)
    (daemon,) = orphans_of(run, up)
    os.kill(daemon, signal.SIGKILL)
    up.wait_until(lambda: not Path(f"/proc/{daemon}").exists(), 1.0)
    run.wait_steps("parent")
    assert run.word("parent", NodeVitals.STARTS) == 1
    assert run.stop() == 0


def orphans_of(run: LiveRun, up: Up) -> list[int]:
    """Processes that became the supervisor's children and are no node."""
    nodes = {run.pid(name) for name in run.vitals.nodes}
    stats = {pid: Path(f"/proc/{pid}/stat") for pid in up.processes_of(run.paths) if pid not in nodes}
    parents = {pid: int(stat.read_text().rpartition(")")[2].split()[1]) for pid, stat in stats.items() if stat.exists()}
    return [pid for pid, parent in parents.items() if parent == run.supervisor_pid]


STARTER = """
import signal, sys
from pathlib import Path
from cardan.runtime.plan import read_plan, write_plan
from cardan.runtime.run import new_run
from cardan.runtime.supervise.start import start_supervisor

paths = new_run(Path(sys.argv[2]), "other")
write_plan(read_plan(Path(sys.argv[1])), paths.plan)
start_supervisor(paths)
print(paths.run_dir, flush=True)
signal.pause()
"""


def test_the_run_stops_when_the_process_that_started_it_dies(up: Up) -> None:
    run = up(up.node("Idle"))
    command = [sys.executable, "-c", STARTER, str(run.paths.plan), str(run.paths.data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        other = Path(starter.stdout.readline().strip())
        up.wait_until(lambda: (other / "vitals").exists())
        starter.kill()
    up.wait_until(lambda: not other.exists(), 3.0)
    assert run.stop() == 0


def test_a_node_can_run_in_a_fresh_interpreter(up: Up) -> None:
    run = up(up.node("Idle", process="exec"))
    run.wait_running()
    run.wait_steps("idle")
    os.kill(run.pid("idle"), signal.SIGKILL)
    up.wait_until(lambda: run.word("idle", NodeVitals.STARTS) == 2)
    run.wait_running()
    assert run.stop() == 0


def test_a_recorder_gets_every_message_that_was_sent_up_to_the_end(up: Up, tmp_path: Path) -> None:
    topics = [InputPlan(port="everything", topics=["counter/count", "second/count"], queue=20000, many=True)]
    first, second = counter(up, 1), counter(up, 1, "second")
    run = up(first, second, up.node("Sink", inputs=topics, rate_hz=10.0))
    run.wait_running()
    run.wait_steps("counter")
    run.wait_steps("sink")
    assert run.stop() == 0
    vitals = last_vitals(run)
    sent = 0
    for name in ("counter", "second"):
        series = vitals.nodes[name].find(SeriesKind.OUTPUT, "count")
        sent += series.words[SeriesVitals.COUNT]
    assert int((tmp_path / "received").read_text()) == sent > 0


def test_the_bridge_is_asked_to_stop_after_those_that_command_it(up: Up) -> None:
    command = OutputPlan(port="command", topic="driver/command", type="nodes:ActuatorCommand", subscribers=1)
    taken = [InputPlan(port="command", topics=["driver/command"])]
    run = up(up.node("FakeBridge", inputs=taken), up.node("Driver", outputs=[command]))
    run.wait_running()
    run.wait_steps("driver")
    assert run.stop() == 0
    assert [event["node"] for event in run.events("node-stop")] == ["driver", "fakebridge"]


def test_the_processes_of_a_run_have_names(up: Up) -> None:
    run = up(up.node("Idle"))
    run.wait_running()
    command = Path(f"/proc/{run.pid('idle')}/cmdline").read_bytes().rstrip(b"\0").decode()
    assert command == f"cardan-node idle {run.paths.run_id}"
    assert Path(f"/proc/{run.process.pid}/comm").read_text() == "cardan-guardian\n"
    assert run.stop() == 0


def test_a_plan_that_cannot_be_read_is_said_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    paths = new_run(tmp_path / "data", "test")
    paths.plan.write_text("{}")
    assert start_supervisor(paths).wait(10) == 1
    said = (paths.logs / "supervisor.err").read_text()
    assert "cannot read the plan" in said
    assert "Traceback" not in said
    assert not paths.run_dir.exists()


def test_a_node_in_its_own_interpreter_starts_while_the_supervisor_still_loads(up: Up) -> None:
    run = up(up.node("Idle"), up.node("Idle", "apart", process="exec"))
    run.wait_running()
    (loaded,) = run.events("run-starting")
    (apart,), (idle,) = run.events("node-start", "apart"), run.events("node-start", "idle")
    assert apart["t_ns"] < loaded["t_ns"] < idle["t_ns"]
