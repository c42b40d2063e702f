"""A supervised run under a service manager, and what the guardian does when that one gives it up."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cardan.runtime.plan import read_plan
from cardan.runtime.vitals import RunState, open_vitals

if TYPE_CHECKING:
    from tests.runtime.supervise.conftest import LiveRun, Up

pytestmark = pytest.mark.slow


def last_vitals(run: LiveRun) -> Any:
    return open_vitals(run.paths.last / "vitals", read_plan(run.paths.last / "plan.json"))


def test_systemd_hears_of_the_whole_run_and_nodes_do_not_know_it(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        run = up(up.node("Idle", critical=True), up.node("Environment", process="exec"))
        run.wait_running()
        heard = [manager.recv(4096).decode() for _ in range(6)]
        assert run.stop() == 0
        while heard[-1] != "STATUS=stopped":
            heard.append(manager.recv(4096).decode())
    assert heard.index("READY=1") < heard.index("WATCHDOG=1") < heard.index("STOPPING=1")
    assert "STATUS=running: ok, 2 nodes" in heard
    assert (tmp_path / "environment").read_text() == ""


def test_a_run_that_is_given_up_still_stops_in_order_and_says_why(up: Up) -> None:
    run = up(up.node("Idle", critical=True))
    run.wait_running()
    run.process.send_signal(signal.SIGABRT)
    assert run.wait_end(5.0) == 1
    assert run.events("run-stopping")
    vitals = last_vitals(run)
    assert vitals.run_state is RunState.FAILED
    assert vitals.cause.startswith("the service's watchdog was not fed")


def test_a_supervisor_that_hangs_has_two_seconds_and_is_killed(up: Up) -> None:
    run = up(up.node("Idle", critical=True))
    run.wait_running()
    os.kill(run.supervisor_pid, signal.SIGSTOP)
    run.process.send_signal(signal.SIGABRT)
    assert run.wait_end(5.0) == 1
    assert last_vitals(run).cause.startswith("the service's watchdog was not fed")


IMPATIENT = """
heartbeat.LIMIT_NS, heartbeat.LOOK_NS, guardian.LAST_CHANCE_NS = 300_000_000, 50_000_000, 200_000_000
"""


@pytest.mark.parametrize("is_told", [False, True])
def test_without_a_service_manager_the_guardian_ends_a_supervisor_that_hangs(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    command = up.start_with(tmp_path / "starter.py", IMPATIENT)
    monkeypatch.setattr("cardan.runtime.supervise.start._command", command)
    run = up(up.node("Idle", critical=True))
    run.wait_running()
    os.kill(run.supervisor_pid, signal.SIGSTOP)
    if is_told:  # the Ctrl-C of a person reaches nobody
        run.process.send_signal(signal.SIGINT)
    assert run.wait_end(5.0) == 1
    vitals = last_vitals(run)
    assert vitals.run_state is RunState.FAILED
    assert vitals.cause.startswith("the supervisor gave no sign of life for")
