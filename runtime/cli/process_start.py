"""When this process was started, for figures that begin before any of our code has run."""

from __future__ import annotations

import os
import time

from cardan.runtime.clock import NS_PER_S, Clock
from cardan.runtime.process_stat import stat_field

START_TIME = 22
"""Field of /proc/PID/stat."""


def process_start_ns(clock: Clock) -> int:
    """When this process was started, to 10 ms, as the kernel notes it; else now."""
    try:
        since_boot_ns = stat_field(os.getpid(), START_TIME) * NS_PER_S // os.sysconf("SC_CLK_TCK")
        slept_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    except (OSError, ValueError, IndexError, AttributeError):
        return clock.now_ns()
    return min(clock.now_ns(), since_boot_ns - slept_ns)
