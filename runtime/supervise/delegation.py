"""Where this process may make control groups of its own (cgroup v2), or why it may not.

Whoever manages the computer's groups has to hand a part of them over (Delegate= of systemd.resource-control(5)). To a
group that was not handed over we add nothing, even where the rights of the user allow it: it is somebody else's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc/self")
SYSTEMD = Path("/run/systemd/system")
"""There while systemd manages the computer (sd_booted(3))."""
MARKS = ("user.delegate", "trusted.delegate")
"""Extended attributes that systemd gives to a group that it has handed over (since 251; the second for root only)."""


@dataclass(frozen=True)
class Delegation:
    """The group below which ours may be made, or the reason for having none."""

    folder: Path | None
    why_not: str = ""


def find_delegation(proc: Path = PROC, systemd: Path = SYSTEMD) -> Delegation:
    """Look for the control group of this process. Touches nothing."""
    own = own_group(proc)
    folder = None if own is None else _folder_of(own, proc)
    if own is None or folder is None:
        return Delegation(None, "no cgroup v2 is mounted")
    if not _may_write(folder):
        return Delegation(None, f"this user may not write to the group {own}")
    if systemd.is_dir() and not _was_handed_over(folder, own):
        return Delegation(None, f"the group {own} was not handed over (Delegate= of its unit)")
    return Delegation(folder)


def own_group(proc: Path = PROC) -> str | None:
    """Path of the control group of a process within the second version's hierarchy; None where there is none."""
    try:
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return None
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)


def _folder_of(group: str, proc: Path) -> Path | None:
    """The folder that stands for a group: a mount may show a part of the hierarchy only, and there may be several."""
    for line in (proc / "mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        if kind.split()[:1] != ["cgroup2"]:
            continue
        root, mount_point = (Path(item) for item in place.split()[3:5])
        if Path(group).is_relative_to(root):
            folder = mount_point / Path(group).relative_to(root)
            if folder.is_dir():
                return folder
    return None


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _was_handed_over(folder: Path, group: str) -> bool:
    """As systemd has marked it; before 251, a unit of the system that belongs to its user was handed over."""
    if any(_attribute(folder, mark) == b"1" for mark in MARKS):
        return True
    return os.geteuid() != 0 and not group.startswith("/user.slice")


def _attribute(folder: Path, name: str) -> bytes:
    try:
        return os.getxattr(folder, name)
    except OSError:
        return b""
