"""What the kernel is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cardan.runtime.supervise import kernel

RENAME = """
import sys
from cardan.runtime.supervise import kernel
kernel.show_as("short-name", "a new command line")
print(flush=True)
sys.stdin.read()
"""


def test_a_process_shows_the_name_and_command_line_it_wants() -> None:
    command = [sys.executable, "-c", RENAME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert Path(f"/proc/{process.pid}/comm").read_text() == "short-name\n"
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0") == b"a new command line"
        assert process.pid in kernel.child_pids()


def test_a_dead_parent_is_noticed() -> None:
    assert not kernel.signal_on_parent_death(os.getppid() + 1, 0)


def test_threads_are_counted() -> None:
    assert kernel.thread_count() >= 1
