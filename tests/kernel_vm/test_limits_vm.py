"""Limits and the hardware watchdog on a kernel that has them: the second hierarchy alone, and a watchdog card."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = [pytest.mark.can_vm, pytest.mark.slow, pytest.mark.timeout(240)]

LIMIT_KIB = 48 * 1024


def test_every_node_has_its_group_and_its_limits(limits: dict[str, Any]) -> None:
    assert limits["groups"].startswith("one for each node in /sys/fs/cgroup/vehicle.slice/vehicle.service/cardan-")
    assert "no limits" not in limits["groups"]
    memory_max_kib, cpu_weight, _, in_group = zip(*limits["nodes"].values(), strict=True)
    assert memory_max_kib == (LIMIT_KIB, 0, 0)
    assert cpu_weight == (100, 50, 100)
    assert in_group == (1, 1, 1)
    assert limits["cpu_us"] > 0


def test_a_node_beyond_its_memory_is_ended_and_started_again_and_the_others_run_on(limits: dict[str, Any]) -> None:
    assert limits["events"][0] == "ended by the kernel at its memory limit of 48 MiB"
    assert limits["kills"] >= 2
    assert limits["nodes"]["hog"][2] >= 2
    assert LIMIT_KIB * 0.8 < limits["peak_kib"] <= LIMIT_KIB
    assert limits["nodes"]["light"][2] == limits["nodes"]["fast"][2] == 1


def test_a_real_time_node_keeps_its_scheduler_where_processor_time_is_weighed(limits: dict[str, Any]) -> None:
    assert limits["policy"] == os.SCHED_FIFO


def test_processors_wake_up_as_fast_as_the_profile_wants(limits: dict[str, Any]) -> None:
    assert limits["latency_us"] == 20


def test_the_hardware_watchdog_is_armed_fed_and_disarmed_and_bites_when_the_supervisor_hangs(
    limits: dict[str, Any],
) -> None:
    assert limits["missing"] == []
    assert limits["armed"] == ["/dev/watchdog0 resets the computer after 2 s (wished: 2)"]
    assert limits["ran_s"] > 4.0  # it was fed, or the guest would not have come this far
    assert limits["exit_code"] == 0
    # The guest hung its supervisor after this: had it not been reset, there would have been a second result.


def test_an_orderly_end_leaves_empty_groups_only_which_the_service_manager_removes(limits: dict[str, Any]) -> None:
    assert limits["left"] == ["RUN", "RUN/supervisor"]
    nodes = [f"RUN/node-{name}" for name in ("fast", "hog", "light")]
    starts = {name for name in limits["while it runs"] if name.count("/") == 2}
    assert set(limits["while it runs"]) - starts == {"RUN", "RUN/supervisor", *nodes}
    assert {name.rpartition("/")[0] for name in starts} == set(nodes)
