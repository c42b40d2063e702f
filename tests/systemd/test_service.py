"""The service under a real systemd: boot, readiness, watchdog, restart, stop, journal, hardening."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.systemd.conftest import Machine

SHORT_WATCHDOG = "[Service]\nWatchdogSec=1\nRestartSec=100ms\n"
EXPOSURE = 2.5
SCHED_FIFO = 1


@pytest.fixture
def service(machine: Machine) -> Machine:
    """The container with the service stopped, and nothing left of earlier tests."""
    machine.forget()
    return machine


def started(service: Machine, drop_in: str = "") -> dict[str, int]:
    """Start the service and wait until systemd calls it active; its processes."""
    service.drop_in(drop_in)
    service.run("systemctl", "start", "cardan")
    assert service.show("ActiveState") == "active"
    return service.processes()


def place(lines: list[str], text: str) -> int:
    """Which line holds `text` first."""
    return next(number for number, line in enumerate(lines) if text in line)


def test_the_service_starts_at_boot_and_says_so(machine: Machine) -> None:
    machine.wait_show("ActiveState", "active")
    machine.wait_show("StatusText", "running: ok, 3 nodes")
    assert machine.show("NRestarts") == "0"
    assert sorted(machine.processes()) == [
        "cardan-guardian",
        "cardan-logbook",
        "cardan-pilot",
        "cardan-supervi",
        "cardan-ticker",
    ]
    assert machine.processes()["cardan-guardian"] == int(machine.show("MainPID"))
    assert machine.status()["verdict"] == "ok"
    assert any(line.startswith("/dev/watchdog7") or "watchdog7" in line for line in machine.journal())


def test_it_is_not_ready_before_its_critical_node_is(service: Machine) -> None:
    (service.data / "hold").touch()
    service.run("systemctl", "start", "--no-block", "cardan")
    service.wait_show("StatusText", "starting: 2 of 3 nodes ready")
    assert service.show("ActiveState") == "activating"
    (service.data / "hold").unlink()
    service.wait_show("ActiveState", "active")
    service.wait_show("StatusText", "running: ok, 3 nodes")


def test_a_supervisor_that_hangs_is_noticed_and_all_is_started_again(service: Machine) -> None:
    before = started(service, SHORT_WATCHDOG)
    service.signal(before["cardan-supervi"], "STOP")
    service.wait_journal("Failed with result 'watchdog'")
    service.wait_show("NRestarts", "1")
    service.wait_show("ActiveState", "active")
    service.wait_show("StatusText", "running: ok, 3 nodes")
    after = service.processes()
    assert sorted(after) == sorted(before)
    assert not set(after.values()) & set(before.values())
    assert any(line.startswith("verdict: the service's watchdog was not fed") for line in service.journal())


def test_a_critical_node_that_is_given_up_keeps_the_food_from_the_watchdog(service: Machine) -> None:
    started(service, SHORT_WATCHDOG)
    (service.data / "hang").touch()
    service.wait_journal("Watchdog timeout")
    (service.data / "hang").unlink()
    service.wait_journal("Failed with result 'watchdog'")
    service.wait_show("NRestarts", "1")
    service.wait_show("StatusText", "running: ok, 3 nodes")
    lines = service.journal()
    assert place(lines, 'critical node "pilot" failed: hung') < place(lines, "Watchdog timeout")
    # The last chance of the run: it still stops in order, and the recorder is the last to go.
    assert place(lines, "Watchdog timeout") < place(lines, "logbook: ended: exit code 0")
    assert any(line.startswith('verdict: critical node "pilot" failed: hung') for line in lines)


def test_a_node_that_comes_back_in_time_costs_no_restart_of_the_service(service: Machine) -> None:
    before = started(service, SHORT_WATCHDOG)
    service.signal(before["cardan-pilot"], "KILL")
    service.wait_journal("pilot: ended: killed by SIGKILL")
    service.wait_show("StatusText", "running: ok, 3 nodes")
    time.sleep(1.5)
    assert service.show("NRestarts") == "0"
    assert service.processes()["cardan-guardian"] == before["cardan-guardian"]


def test_what_a_node_left_behind_ends_with_it_because_its_control_group_is_ours(service: Machine) -> None:
    (service.data / "daemon").touch()
    before = started(service)
    assert service.status()["groups"].startswith("one for each node in /sys/fs/cgroup/")
    assert service.status()["taken"]["ticker"]["cpu_s"] >= 0.0
    assert not [item for item in service.status()["settings"] if item["setting"] == "group"]
    service.signal(before["cardan-ticker"], "KILL")
    service.wait_new("sleep", before)
    service.wait_gone(before["sleep"])


def test_without_delegation_the_service_runs_and_says_that_it_has_no_control_groups(service: Machine) -> None:
    started(service, "[Service]\nDelegate=no\n")
    assert service.status()["groups"].startswith("none: ")
    assert any(line.startswith("control groups: none: ") for line in service.journal())
    assert service.status()["verdict"] == "ok"


@pytest.mark.parametrize(
    ("victim", "verdict"),
    [
        ("cardan-supervi", "killed by SIGKILL; all nodes were ended"),
        ("cardan-guardian", "the supervisor ended without stopping the run in order"),
    ],
)
def test_a_killed_supervisor_or_guardian_is_replaced_and_the_evidence_kept(
    service: Machine, victim: str, verdict: str
) -> None:
    before = started(service, "[Service]\nRestartSec=1s\n")
    service.signal(before[victim], "KILL")
    service.wait_show("SubState", "auto-restart")
    assert service.processes() == {}
    service.wait_show("NRestarts", "1")
    service.wait_show("ActiveState", "active")
    assert verdict in service.status("--data-dir", "/var/lib/cardan")["verdict"]  # of the last run, not of this one
    assert service.status()["verdict"] == "ok"


def test_a_stop_is_in_order_and_leaves_nothing(service: Machine) -> None:
    started(service)
    group = service.show("ControlGroup")
    start = time.monotonic()
    service.run("systemctl", "stop", "cardan")
    assert time.monotonic() - start < 5.0
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    assert service.processes() == {}
    members = f"cat /sys/fs/cgroup{group}/cgroup.procs /sys/fs/cgroup/systemd{group}/cgroup.procs 2>/dev/null || true"
    assert service.run("sh", "-c", members) == ""
    assert service.try_run("test", "-e", "/run/cardan").returncode != 0
    lines = service.journal()
    order = ["stopping: SIGTERM", "pilot: asked to stop", "pilot: ended: exit code 0", "logbook: asked to stop"]
    places = [place(lines, text) for text in [*order, "logbook: ended: exit code 0", "verdict: ok"]]
    assert places == sorted(places)


def test_a_manifest_with_findings_is_refused_once(service: Machine) -> None:
    manifest = service.root / "etc/cardan/broken.toml"
    manifest.write_text((service.root / "etc/cardan/vehicle.toml").read_text().replace("parts:Pilot", "parts:Pilott"))
    command = service.show("ExecStart").partition("argv[]=")[2].partition(" ;")[0]
    broken = command.replace("vehicle.toml", "broken.toml")
    service.drop_in(f"[Service]\nExecStart=\nExecStart={broken}\n")
    assert service.try_run("systemctl", "start", "cardan").returncode != 0
    assert (service.show("ActiveState"), service.show("ExecMainStatus")) == ("failed", "4")
    assert service.show("NRestarts") == "0"
    assert any("broken.toml:" in line and 'did you mean "Pilot"' in line for line in service.journal())


def test_a_node_has_the_rights_of_the_unit_and_no_others(service: Machine) -> None:
    processes = started(service)
    rights = json.loads((service.data / "rights.json").read_text())
    assert rights["service_variables"] == []
    assert rights["user"] != 0
    assert int(rights["capabilities"], 16) == 0
    assert rights["may_write"] == ["/var/lib/cardan"]
    assert not rights["sees_other_processes"]
    limits = service.run("cat", f"/proc/{processes['cardan-guardian']}/limits")
    granted = re.search(r"Max realtime priority +(\S+)", limits)
    if granted and granted[1] in ("99", "unlimited"):  # a computer that may not raise limits cannot grant it
        assert rights["scheduler"] & ~os.SCHED_RESET_ON_FORK == SCHED_FIFO


def test_the_unit_is_exposed_no_more_than_it_has_to_be(machine: Machine) -> None:
    assert machine.try_run("systemd-analyze", "verify", "cardan.service").stderr == ""
    said = machine.run("systemd-analyze", "security", "--no-pager", "cardan.service")
    found = re.search(r"Overall exposure level for cardan.service: ([\d.]+)", said)
    assert found is not None
    assert float(found[1]) <= EXPOSURE
