"""What a node's process was to have, against what the kernel gave it: pure, from the plan and the vitals."""

from __future__ import annotations

import os

import msgspec

from cardan.runtime.clock import SPIN_FROM_HZ
from cardan.runtime.plan import NodePlan
from cardan.runtime.profile import RealtimeSettings

PAGE_KIB = 64
"""The kernel rounds a limit of memory down to whole pages; the largest of a computer of ours."""
POLICIES = {os.SCHED_OTHER: "other", os.SCHED_FIFO: "fifo", os.SCHED_RR: "rr", os.SCHED_BATCH: "batch"}


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel said when the node began to step."""

    policy: int
    priority: int
    nice: int
    cores: int
    """CPUs it may run on."""
    stray_cores: int
    """How many of them the plan does not name."""
    locked_kib: int
    timer_slack_ns: int
    collects: bool
    """The garbage collector may run inside a step."""
    threads: int
    helpers: int
    """Threads beside the node's own and ZeroMQ's."""
    in_group: bool
    """It is in its own control group."""


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The control group of a node, as the kernel says."""

    exists: bool
    memory_max_kib: int
    """0: no limit."""
    cpu_weight: int
    """0: none."""
    memory_peak_kib: int
    cpu_us: int
    memory_kills: int


NO_GROUP = GroupSettings(exists=False, memory_max_kib=0, cpu_weight=0, memory_peak_kib=0, cpu_us=0, memory_kills=0)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that is not as wished."""

    node: str
    setting: str
    wished: str
    has: str
    remedy: str
    demanded: bool
    """The profile insists on it: it is a fault, not a remark."""


def differences(
    node: NodePlan, realtime: RealtimeSettings, has: ProcessSettings, group: GroupSettings = NO_GROUP
) -> list[Difference]:
    """Every setting of a running node that is not as the plan and the profile wish it."""
    demanded = node.realtime and realtime.scheduler == "fifo"
    own = _realtime(node, realtime, has) if node.realtime else [_niceness(node, has)]
    found = [_cores(node, has), *own, _timers(node, has)]
    return _named(node, found, demanded) + _named(node, _group(node, has, group), False)


def latency_difference(realtime: RealtimeSettings, holds_us: int) -> list[Difference]:
    """What processors lack to wake up as fast as the profile wants. holds_us: as the kernel says, -1 for no limit."""
    wished_us = realtime.wakeup_latency_us
    if wished_us is None or 0 <= holds_us <= wished_us:
        return []
    return [
        Difference(
            node="the run",
            setting="wake-up latency",
            wished=f"{wished_us} us",
            has="not held" if holds_us < 0 else f"{holds_us} us",
            remedy="allow it: the udev rule of the service gives /dev/cpu_dma_latency to its user",
            demanded=realtime.scheduler == "fifo",
        )
    ]


def _named(node: NodePlan, found: list[Found], demanded: bool) -> list[Difference]:
    return [
        Difference(node=node.name, setting=setting, wished=wished, has=actual, remedy=remedy, demanded=demanded)
        for setting, wished, actual, remedy in filter(None, found)
    ]


Found = tuple[str, str, str, str] | None
"""Setting, wish, reality, remedy; None: as wished."""


def _cores(node: NodePlan, has: ProcessSettings) -> Found:
    if not node.cores or (not has.stray_cores and has.cores == len(set(node.cores))):
        return None
    wished = ",".join(map(str, node.cores))
    remedy = "has this computer these cores, and does its unit (CPUAffinity=) or container allow them?"
    return "cores", wished, f"{has.cores} cores, {has.stray_cores} of them others", remedy


def _realtime(node: NodePlan, realtime: RealtimeSettings, has: ProcessSettings) -> list[Found]:
    return [
        _scheduler(node, realtime, has),
        _memory(realtime, has),
        ("collector", "outside the step", "inside", "does the node call gc.enable()? take that out")
        if has.collects
        else None,
        ("threads", "none but its own and ZeroMQ's", f"{has.helpers} more", "set OMP_NUM_THREADS=1; start none in open")
        if has.helpers > 0
        else None,
    ]


def _scheduler(node: NodePlan, realtime: RealtimeSettings, has: ProcessSettings) -> Found:
    actual = f"{POLICIES.get(has.policy, str(has.policy))} {has.priority or ''}".strip()
    wished = f"fifo {node.priority or realtime.priority}"
    if realtime.scheduler == "other" or actual == wished:
        return None
    return "scheduler", wished, actual, f"allow it: LimitRTPRIO={node.priority or realtime.priority} or CAP_SYS_NICE"


def _niceness(node: NodePlan, has: ProcessSettings) -> Found:
    if node.nice is None or node.nice == has.nice:
        return None
    return "nice", str(node.nice), str(has.nice), f"allow it: LimitNICE={node.nice} or CAP_SYS_NICE"


def _memory(realtime: RealtimeSettings, has: ProcessSettings) -> Found:
    if not realtime.memory_lock or has.locked_kib:
        return None
    return "memory", "locked", "not locked", "allow it: LimitMEMLOCK=infinity or CAP_IPC_LOCK"


def _group(node: NodePlan, has: ProcessSettings, group: GroupSettings) -> list[Found]:
    """A group that the run has none of is said once, with its reason; here only what a node asked for or lacks."""
    wished_kib = round((node.memory_max_mib or 0) * 1024)
    remedy = "only a group that was handed over with its controllers has limits: run it as the service"
    return [
        ("group", "its own", "another", "see the log of the node") if group.exists and not has.in_group else None,
        ("memory limit", f"{wished_kib / 1024:g} MiB", _or_none(group.memory_max_kib / 1024, " MiB"), remedy)
        if abs(wished_kib - group.memory_max_kib) > PAGE_KIB
        else None,
        ("cpu weight", str(node.cpu_weight), _or_none(group.cpu_weight), remedy)
        if node.cpu_weight and node.cpu_weight != group.cpu_weight
        else None,
    ]


def _or_none(value: float, unit: str = "") -> str:
    return f"{value:g}{unit}" if value else "none"


def _timers(node: NodePlan, has: ProcessSettings) -> Found:
    """A SCHED_FIFO process has no slack, whatever the number says."""
    fast = node.rate_hz is not None and node.rate_hz >= SPIN_FROM_HZ
    if not fast or has.policy == os.SCHED_FIFO or has.timer_slack_ns <= 1:
        return None
    return "timers", "1 ns slack", f"{has.timer_slack_ns} ns", "does the node or a library of it call prctl?"
