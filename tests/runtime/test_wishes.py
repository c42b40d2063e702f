"""What a process was to have, and what the kernel gave it."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from cardan.runtime.plan import NodePlan
from cardan.runtime.profile import RealtimeSettings
from cardan.runtime.wishes import (
    NO_GROUP,
    Difference,
    GroupSettings,
    ProcessSettings,
    differences,
    latency_difference,
)

CONTROL = NodePlan(name="control", index=0, use="m:C", realtime=True, priority=50, rate_hz=100.0, cores=[2])
RECORDER = NodePlan(name="recorder", index=1, use="m:R", rate_hz=10.0)
DEMANDING = RealtimeSettings(scheduler="fifo", priority=50, memory_lock=True)
GRANTED = ProcessSettings(
    policy=os.SCHED_FIFO,
    priority=50,
    nice=0,
    cores=1,
    stray_cores=0,
    locked_kib=80_000,
    timer_slack_ns=0,
    collects=False,
    threads=3,
    helpers=0,
    in_group=True,
)
GROUP = GroupSettings(
    exists=True, memory_max_kib=0, cpu_weight=100, memory_peak_kib=50_000, cpu_us=1_000_000, memory_kills=0
)
LIMITED = NodePlan(name="camera", index=2, use="m:E", rate_hz=10.0, memory_max_mib=256.0, cpu_weight=50)
PLAIN = replace(GRANTED, policy=os.SCHED_OTHER, priority=0, locked_kib=0, timer_slack_ns=50_000, collects=True, cores=8)


def test_a_node_that_has_everything_differs_in_nothing() -> None:
    assert differences(CONTROL, DEMANDING, GRANTED) == []


def test_a_plain_node_wishes_for_nothing() -> None:
    assert differences(RECORDER, DEMANDING, PLAIN) == []


@pytest.mark.parametrize(
    ("has", "setting", "said", "remedy"),
    [
        (replace(GRANTED, policy=os.SCHED_OTHER, priority=0, timer_slack_ns=1), "scheduler", "other", "LimitRTPRIO=50"),
        (replace(GRANTED, priority=10), "scheduler", "fifo 10", "CAP_SYS_NICE"),
        (replace(GRANTED, locked_kib=0), "memory", "not locked", "LimitMEMLOCK=infinity"),
        (replace(GRANTED, cores=2, stray_cores=1), "cores", "2 cores, 1 of them others", "CPUAffinity="),
        (replace(GRANTED, collects=True), "collector", "inside", "gc.enable()"),
        (replace(GRANTED, helpers=3), "threads", "3 more", "OMP_NUM_THREADS=1"),
    ],
)
def test_each_difference_says_what_it_is_and_how_to_get_what_was_wished(
    has: ProcessSettings, setting: str, said: str, remedy: str
) -> None:
    (found,) = differences(CONTROL, DEMANDING, has)
    assert (found.node, found.setting, found.has, found.demanded) == ("control", setting, said, True)
    assert remedy in found.remedy


def test_a_node_that_is_to_come_before_others_and_may_not_is_named() -> None:
    seeing = NodePlan(name="camera", index=0, use="m:C", rate_hz=10.0, nice=-10)
    assert differences(seeing, DEMANDING, replace(PLAIN, nice=-10)) == []
    (found,) = differences(seeing, DEMANDING, PLAIN)
    assert (found.setting, found.wished, found.has, found.demanded) == ("nice", "-10", "0", False)
    assert "LimitNICE=-10" in found.remedy


def test_without_fifo_a_fast_node_wants_sharp_timers() -> None:
    fast = NodePlan(name="fast", index=0, use="m:F", rate_hz=50.0)
    (found,) = differences(fast, DEMANDING, PLAIN)
    assert (found.setting, found.wished, found.has, found.demanded) == ("timers", "1 ns slack", "50000 ns", False)


def test_where_the_profile_takes_what_it_gets_a_difference_is_a_remark() -> None:
    found = differences(CONTROL, RealtimeSettings(), replace(GRANTED, policy=os.SCHED_OTHER, priority=0))
    assert [(item.setting, item.demanded) for item in found] == [("scheduler", False)]


def test_where_the_profile_wants_no_scheduler_none_is_missed() -> None:
    has = replace(GRANTED, policy=os.SCHED_OTHER, priority=0)
    assert differences(CONTROL, RealtimeSettings(scheduler="other"), has) == []


def test_a_node_of_numbered_cores_is_content_with_exactly_those() -> None:
    both = NodePlan(name="both", index=0, use="m:C", cores=[1, 3])
    assert differences(both, DEMANDING, replace(GRANTED, cores=2)) == []
    (found,) = differences(both, DEMANDING, GRANTED)
    assert isinstance(found, Difference)
    assert (found.wished, found.has) == ("1,3", "1 cores, 0 of them others")


def test_a_node_with_its_limits_differs_in_nothing() -> None:
    assert differences(LIMITED, DEMANDING, PLAIN, replace(GROUP, memory_max_kib=256 * 1024, cpu_weight=50)) == []


@pytest.mark.parametrize(
    ("has", "group", "said"),
    [
        (PLAIN, GROUP, [("memory limit", "256 MiB", "none"), ("cpu weight", "50", "100")]),
        (PLAIN, NO_GROUP, [("memory limit", "256 MiB", "none"), ("cpu weight", "50", "none")]),
        (PLAIN, replace(GROUP, memory_max_kib=128 * 1024, cpu_weight=50), [("memory limit", "256 MiB", "128 MiB")]),
        (
            replace(PLAIN, in_group=False),
            replace(GROUP, memory_max_kib=256 * 1024, cpu_weight=50),
            [("group", "its own", "another")],
        ),
    ],
)
def test_a_limit_that_does_not_hold_is_a_remark(
    has: ProcessSettings, group: GroupSettings, said: list[tuple[str, str, str]]
) -> None:
    found = differences(LIMITED, DEMANDING, has, group)
    assert [(item.setting, item.wished, item.has) for item in found] == said
    assert not any(item.demanded for item in found)


@pytest.mark.parametrize(
    ("wished_us", "holds_us", "has"),
    [(None, -1, None), (10, 10, None), (10, 5, None), (10, -1, "not held"), (10, 200, "200 us")],
)
def test_processors_that_may_sleep_too_deeply_are_a_difference_of_the_run(
    wished_us: int | None, holds_us: int, has: str | None
) -> None:
    found = latency_difference(replace(DEMANDING, wakeup_latency_us=wished_us), holds_us)
    assert [(item.node, item.has, item.demanded) for item in found] == ([("the run", has, True)] if has else [])
