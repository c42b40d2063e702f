"""A node's process and its control group (cgroup v2): getting in, and what the kernel says."""

from __future__ import annotations

import os
from pathlib import Path


def join(group: str) -> str:
    """Move this process into `group` (a folder; empty: nothing to do); what kept it out, empty when it is in.

    Takes 5 to 20 ms, in which the kernel waits for the other processors. A forked node was born in its group.
    """
    if not group or is_member(group):
        return ""
    try:
        descriptor = os.open(Path(group) / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"0")
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"{group}: {error.strerror}"
    return ""


def is_member(group: str) -> bool:
    """True when this process is in `group`, as the kernel says."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return False
    own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    return bool(group) and bool(own) and Path(group).parts[-2:] == Path(own).parts[-2:]
