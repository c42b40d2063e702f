"""Processor time of a process with all that its threads and children, also those that have ended, have taken."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


class Used(NamedTuple):
    """What was taken in some time."""

    cpu_s: float
    wall_s: float

    @property
    def percent(self) -> float:
        """Of one core."""
        return 100.0 * self.cpu_s / self.wall_s


def cpu_s(pid: int) -> float:
    """User and system time since the start, ended threads included; in ticks of 10 ms (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def used_by(pid: int, seconds: float, drain: int = -1) -> Used:
    """What a process takes from now on. drain: a descriptor that is read meanwhile, such as its terminal."""
    began_s, before_s = time.monotonic(), cpu_s(pid)
    while (left_s := began_s + seconds - time.monotonic()) > 0:
        if drain < 0:
            time.sleep(left_s)
        elif select.select([drain], [], [], left_s)[0]:
            os.read(drain, 65536)
    return Used(cpu_s(pid) - before_s, time.monotonic() - began_s)


def children_used(command: list[str], environment: Mapping[str, str]) -> Used:
    """A command from its start to its end, with everything it has waited for."""
    before, began_s = os.times(), time.monotonic()
    subprocess.run(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Used(cpu, time.monotonic() - began_s)
