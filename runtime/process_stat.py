"""What the kernel says of one process in /proc/PID/stat."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def stat_field(pid: int, field: int) -> int:
    """A numeric field, numbered as in proc(5), from 4 on; OSError when the process is gone.

    The name of the process, field 2, may have blanks and brackets of its own.
    """
    text = (PROC / str(pid) / "stat").read_text(errors="replace")
    return int(text.rpartition(")")[2].split()[field - 3])
