"""The profile of a computer, with what a person should look at."""

from __future__ import annotations

import re
from typing import NamedTuple

from cardan.runtime.detect import parts
from cardan.runtime.detect.processors import core_groups, online
from cardan.runtime.detect.tree import Tree
from cardan.runtime.profile import (
    CanChannelSettings,
    MachineSettings,
    Profile,
    RealtimeSettings,
    StorageSettings,
)

PRIORITY = 50
LOCKABLE = 1 << 62
"""Stands for no limit."""
CAP_IPC_LOCK, CAP_SYS_NICE = 14, 23
"""linux/capability.h."""
UNLIMITED = "unlimited"
QUOTA_SHARE = 0.25
"""Of the largest disk: recordings must leave room for everything else."""
LEAST_QUOTA, MOST_QUOTA = 1_000_000_000, 200_000_000_000


class Detected(NamedTuple):
    """A profile, and remarks: what was not found, or wants a person's decision."""

    profile: Profile
    notes: list[str]


def detect(tree: Tree, name: str = "", architecture: str = "") -> Detected:
    """Read everything. Takes milliseconds, needs no privilege, and opens no device.

    name: of the profile; else that of the computer. architecture: where the kernel is older than 6.1 and does not say.
    """
    notes: list[str] = []
    accelerator, remark = parts.accelerator(tree)
    found_disks = parts.disks(tree)
    channels = parts.can_channels(tree)
    profile = Profile(
        name=profile_name(name or tree.text("/proc/sys/kernel/hostname")),
        description=description(tree),
        cores=core_groups(tree),
        can=channels or {"vehicle": CanChannelSettings()},
        realtime=_realtime(tree, notes),
        accelerator=accelerator,
        storage=StorageSettings(quota_bytes=_quota_bytes([disk.size_gb for disk in found_disks.values()])),
        watchdog=parts.watchdog(tree),
        machine=machine(tree, architecture),
        disks=found_disks,
        links=parts.links(tree),
        thermal=parts.thermal(tree),
        devices=parts.devices(tree),
    )
    if remark:
        notes.append(remark)
    if not channels:
        notes.append("no CAN interface was found: the channel `vehicle` is a bench bus on this computer")
    if not profile.watchdog.device:
        notes.append("no hardware watchdog was found: nothing resets this computer when it hangs")
    return Detected(profile, notes)


def profile_name(text: str) -> str:
    """A name as profiles have it: lower-case letters, digits and `_`."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "computer"


def machine(tree: Tree, architecture: str = "") -> MachineSettings:
    """What the computer is."""
    total_kib = dict(line.split(":", 1) for line in tree.text("/proc/meminfo").splitlines() if ":" in line)
    words = total_kib.get("MemTotal", "0").split()
    return MachineSettings(
        model=model(tree),
        architecture=tree.text("/proc/sys/kernel/arch") or architecture,
        processors=len(online(tree)),
        memory_mib=int(words[0]) >> 10 if words and words[0].isdecimal() else 0,
    )


def model(tree: Tree) -> str:
    """`NVIDIA Jetson AGX Orin Developer Kit`, or what the maker of a PC wrote into its firmware."""
    board = tree.text("/proc/device-tree/model")
    if board:
        return board
    words = [tree.text(f"/sys/class/dmi/id/{part}") for part in ("sys_vendor", "product_name")]
    return " ".join(word for word in words if word and word != "Default string")


def description(tree: Tree) -> str:
    """One line for `cardan profile list`."""
    found = machine(tree)
    memory = f"{round(found.memory_mib / 1024)} GiB" if found.memory_mib else ""
    return ", ".join(part for part in (found.model or "computer", f"{found.processors} processors", memory) if part)


def _realtime(tree: Tree, notes: list[str]) -> RealtimeSettings:
    """What this user may do is what the profile asks for; a service may more (`cardan install-service`)."""
    priority, memory = _limit(tree, "Max realtime priority"), _limit(tree, "Max locked memory")
    fifo = priority >= PRIORITY or _may(tree, CAP_SYS_NICE)
    if not fifo:
        notes.append(
            f"this user may have priority {priority} at most: the profile takes SCHED_FIFO where it is allowed"
        )
    return RealtimeSettings(
        scheduler="fifo" if fifo else "fifo-if-allowed",
        priority=PRIORITY,
        memory_lock=memory == LOCKABLE or _may(tree, CAP_IPC_LOCK),
    )


def _may(tree: Tree, capability: int) -> bool:
    """This process has a capability, and so needs no limit."""
    fields = dict(line.split(":", 1) for line in tree.text("/proc/self/status").splitlines() if ":" in line)
    try:
        return bool(int(fields.get("CapEff", "0"), 16) >> capability & 1)
    except ValueError:
        return False


def _limit(tree: Tree, name: str) -> int:
    """The hard limit of this process."""
    for line in tree.text("/proc/self/limits").splitlines():
        if line.startswith(name):
            words = line[len(name) :].split()
            hard = words[1] if len(words) > 1 else "0"
            return LOCKABLE if hard == UNLIMITED else int(hard) if hard.isdecimal() else 0
    return 0


def _quota_bytes(sizes_gb: list[int]) -> int:
    share = round(max(sizes_gb, default=0) * 1e9 * QUOTA_SHARE)
    return max(LEAST_QUOTA, min(MOST_QUOTA, share // 1_000_000_000 * 1_000_000_000))
