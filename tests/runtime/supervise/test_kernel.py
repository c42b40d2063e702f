"""What the kernel is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cardan.runtime.supervise import kernel
from cardan.runtime.supervise.delegation import find_delegation

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


BORN = """
import ctypes, os, sys, threading
from cardan.runtime.supervise import kernel
from cardan.runtime.supervise.delegation import own_group

hooks = []
os.register_at_fork(before=lambda: hooks.append("before"), after_in_child=lambda: hooks.append("child"))
address = kernel._tid_address()
pid = kernel.fork_into(sys.argv[1])
if pid == 0:
    found = []
    thread = threading.Thread(target=lambda: found.append(threading.get_native_id() != os.getpid()))
    thread.start()
    thread.join()
    known = ctypes.c_int.from_address(address).value == os.getpid()
    print(known, found, hooks, own_group(), flush=True)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def born(group: Path) -> list[str]:
    """What a process says that was forked into a group, and what its parent saw of its end."""
    done = subprocess.run([sys.executable, "-c", BORN, str(group)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_process_is_born_in_its_group_and_is_a_fork_in_every_other_way() -> None:
    delegation = find_delegation()
    if delegation.folder is None:
        pytest.skip(delegation.why_not)
    group = delegation.folder / f"test-{os.getpid()}-born"
    group.mkdir()
    try:
        said, exit_code = born(group)
    finally:
        group.rmdir()
    assert said.startswith("True [True] ['before', 'child']")
    assert said.endswith(f"/{group.name}")
    assert exit_code == "7"


def test_where_nobody_can_be_born_in_a_group_it_is_a_fork(tmp_path: Path) -> None:
    for group in (tmp_path, tmp_path / "absent"):
        said, exit_code = born(group)
        assert said.startswith("True [True]")
        assert exit_code == "7"


def test_a_dead_parent_is_noticed() -> None:
    assert not kernel.signal_on_parent_death(os.getppid() + 1, 0)


def test_threads_are_counted() -> None:
    assert kernel.thread_count() >= 1
