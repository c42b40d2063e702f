"""What a node's process was to have, against what the kernel gave it: pure, from the plan and the vitals."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cardan.runtime.clock import SPIN_FROM_HZ
from cardan.runtime.plan import NodePlan
from cardan.runtime.profile import RealtimeSettings

POLICIES = {os.SCHED_OTHER: "other", os.SCHED_FIFO: "fifo", os.SCHED_RR: "rr", os.SCHED_BATCH: "batch"}


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """What the kernel said when the node began to step."""

    policy: int
    priority: int
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


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One setting that is not as wished."""

    node: str
    setting: str
    wished: str
    has: str
    remedy: str
    demanded: bool
    """The profile insists on it: it is a fault, not a remark."""


def differences(node: NodePlan, realtime: RealtimeSettings, has: ProcessSettings) -> list[Difference]:
    """Every setting of a running node that is not as the plan and the profile wish it."""
    demanded = node.realtime and realtime.scheduler == "fifo"
    found = [_cores(node, has), *(_realtime(node, realtime, has) if node.realtime else ()), _timers(node, has)]
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


def _memory(realtime: RealtimeSettings, has: ProcessSettings) -> Found:
    if not realtime.memory_lock or has.locked_kib:
        return None
    return "memory", "locked", "not locked", "allow it: LimitMEMLOCK=infinity or CAP_IPC_LOCK"


def _timers(node: NodePlan, has: ProcessSettings) -> Found:
    """A SCHED_FIFO process has no slack, whatever the number says."""
    fast = node.rate_hz is not None and node.rate_hz >= SPIN_FROM_HZ
    if not fast or has.policy == os.SCHED_FIFO or has.timer_slack_ns <= 1:
        return None
    return "timers", "1 ns slack", f"{has.timer_slack_ns} ns", "does the node or a library of it call prctl?"
