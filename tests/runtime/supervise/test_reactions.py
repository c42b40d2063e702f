"""What the supervisor makes of the loss of a node, in the vitals and in its log, with real processes."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from cardan.runtime.plan import InputPlan, OutputPlan
from cardan.runtime.vitals import NodeVitals, RunState, SeriesKind, SeriesVitals, Vitals

if TYPE_CHECKING:
    from tests.runtime.supervise.conftest import Up

pytestmark = pytest.mark.slow


def counter(up: Up) -> Any:
    output = OutputPlan(port="count", topic="counter/count", type="nodes:Count", subscribers=1)
    return up.node("Counter", outputs=[output])


def test_the_loss_of_a_critical_node_asks_the_bridge_for_a_safe_stop_and_says_why(up: Up) -> None:
    run = up(up.node("Idle"), up.node("Crasher", critical=True, max_restarts=1))
    up.wait_until(lambda: run.vitals.stop_wanted)
    assert (run.vitals.mode, run.vitals.stop_wanted) == ("safe-stop", "crasher is lost")
    assert run.vitals.words[Vitals.MODE_NS] > 0
    assert (run.vitals.run_state, run.vitals.cause_code) == (RunState.FAILED, "node-gave-up")
    assert [event["mode"] for event in run.events("run-mode")][-1] == "safe-stop"
    assert run.stop() == 1


def test_a_node_that_was_killed_degrades_the_vehicle_until_it_is_back(up: Up) -> None:
    run = up(up.node("Idle", reactions={"restarting": "degraded:slow"}, reaction_text="nothing idles"))
    run.wait_running()
    os.kill(run.pid("idle"), signal.SIGKILL)
    up.wait_until(lambda: run.events("run-mode-normal"))
    (event,) = run.events("run-mode")
    assert (event["node"], event["mode"]) == ("idle", "degraded:slow")
    assert event["text"] == "mode degraded:slow: idle is restarting: nothing idles"
    assert (run.vitals.mode, run.vitals.stop_wanted, run.vitals.cause) == ("", "", "")
    assert run.stop() == 0


def test_a_loss_that_is_ignored_is_still_the_first_cause(up: Up) -> None:
    run = up(up.node("Idle"), up.node("Crasher", restart="never", reactions={"lost": "ignore", "restarting": "ignore"}))
    up.wait_until(lambda: run.vitals.cause)
    assert (run.vitals.mode, run.vitals.run_state) == ("", RunState.RUNNING)
    assert run.vitals.cause_code == "node-gave-up"
    assert run.stop() == 0


def test_a_reader_is_told_that_its_publisher_was_restarted(up: Up) -> None:
    topics = [InputPlan(port="everything", topics=["counter/count"], queue=20000, many=True)]
    run = up(counter(up), up.node("Sink", inputs=topics))
    run.wait_running()
    series = run.vitals.nodes["sink"].find(SeriesKind.INPUT, "everything", "counter/count")
    assert series is not None
    up.wait_until(lambda: series.words[SeriesVitals.COUNT] > 0)
    os.kill(run.pid("counter"), signal.SIGKILL)
    up.wait_until(lambda: series.words[SeriesVitals.RESTARTS] == 1)
    os.kill(run.pid("sink"), signal.SIGKILL)
    up.wait_until(lambda: run.word("sink", NodeVitals.STARTS) == 2)
    run.wait_steps("sink")
    assert series.words[SeriesVitals.RESTARTS] == 1
    assert run.stop() == 0


def test_each_start_reads_its_settings_back(up: Up) -> None:
    run = up(up.node("Idle"))
    run.wait_running()
    run.wait_steps("idle")
    first_ns = run.word("idle", NodeVitals.READ_BACK_NS)
    assert (run.word("idle", NodeVitals.POLICY), run.word("idle", NodeVitals.TIMER_SLACK_NS)) == (os.SCHED_OTHER, 1)
    assert run.word("idle", NodeVitals.HELPERS) == 0
    os.kill(run.pid("idle"), signal.SIGKILL)
    up.wait_until(lambda: run.word("idle", NodeVitals.READ_BACK_NS) > first_ns)
    assert run.stop() == 0
