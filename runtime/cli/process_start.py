"""When this process was started, for figures that begin before any of our code has run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cardan.runtime.clock import NS_PER_S, Clock


def process_start_ns(clock: Clock) -> int:
    """When this process was started, to 10 ms, as the kernel notes it (proc(5), field 22 of stat); else now."""
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot_ns = int(after_name[19]) * NS_PER_S // os.sysconf("SC_CLK_TCK")
        slept_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    except (OSError, ValueError, IndexError, AttributeError):
        return clock.now_ns()
    return min(clock.now_ns(), since_boot_ns - slept_ns)
