"""Make the process of one node, forked from this one or as a fresh interpreter, and hold on to it."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from cardan.runtime.birth import Birth
from cardan.runtime.bus.ring_ends import WakeFds
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.run import RunPaths
from cardan.runtime.supervise import kernel
from cardan.runtime.supervise.groups import StartGroup

FIRST_FREE_FD = 3
GO = b"1"
SIGNALS_OF_SUPERVISOR = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@dataclass(frozen=True)
class NodeProcessHandle:
    """A node's process: each leads its own session, so that what it starts ends with it."""

    pid: int
    pidfd: int
    """Readable when the process has ended."""
    ready_fd: int
    """Non-blocking; gives what the node says about itself."""
    go_fd: int
    group: StartGroup | None = None
    """Its control group; None where there are none."""

    def go(self) -> None:
        """Let the node step."""
        with suppress(OSError):
            os.write(self.go_fd, GO)

    def terminate(self) -> None:
        """Ask it to stop; wake it up if it was stopped by a signal."""
        self._send(signal.SIGTERM)
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it and everything in its groups."""
        self._send(signal.SIGKILL)
        self._kill_groups()

    def read_news(self) -> bytes | None:
        """What the node has said since the last call; empty at its end, None when there is nothing yet."""
        try:
            return os.read(self.ready_fd, 16)
        except BlockingIOError:
            return None

    def reap(self) -> int:
        """Take the exit code (negative: a signal) of the process that has ended, and end what is left of its groups.

        They are killed before the wait, while the number of the process group cannot belong to anybody else.
        """
        self._kill_groups()
        _, status = os.waitpid(self.pid, 0)
        for descriptor in (self.pidfd, self.ready_fd, self.go_fd):
            os.close(descriptor)
        return os.waitstatus_to_exitcode(status)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def _kill_groups(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.group is not None:
            self.group.kill()


def start_node(
    plan: Plan,
    node: NodePlan,
    paths: RunPaths,
    starts: int,
    wake: WakeFds,
    group: StartGroup | None = None,
    *,
    standby: bool = False,
) -> NodeProcessHandle:
    """Start the process of `node`; OSError when the kernel refuses. Does not wait for it.

    standby: a spare one, which becomes the node when it is told to (cardan.runtime.node.standby).
    """
    ready_fd, child_ready_fd = os.pipe2(os.O_CLOEXEC)
    child_go_fd, go_fd = os.pipe2(os.O_CLOEXEC)
    birth = Birth(
        run_dir=str(paths.run_dir),
        data_dir=str(paths.data_dir),
        node=node.name,
        starts=starts,
        ready_fd=child_ready_fd,
        go_fd=child_go_fd,
        parent_pid=os.getpid(),
        group="" if group is None else str(group.folder),
        wake=wake,
        standby=standby,
    )
    try:
        pid = _spawn(birth) if node.process == "exec" else _fork(birth, plan)
        os.set_blocking(ready_fd, False)
        return NodeProcessHandle(pid, os.pidfd_open(pid), ready_fd, go_fd, group)
    except OSError:
        os.close(ready_fd)
        os.close(go_fd)
        raise
    finally:
        os.close(child_ready_fd)
        os.close(child_go_fd)


def _spawn(birth: Birth) -> int:
    """A fresh interpreter, for what cannot be forked (CUDA, libraries with threads)."""
    handed = birth.descriptors()
    for descriptor in handed:
        os.set_inheritable(descriptor, True)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "cardan.runtime.node.process", msgspec.json.encode(birth).decode()],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setsid=True,
            setsigmask=[],
            setsigdef=SIGNALS_OF_SUPERVISOR,
        )
    finally:
        for descriptor in handed:
            os.set_inheritable(descriptor, False)


def _fork(birth: Birth, plan: Plan) -> int:
    """A copy of this preloaded process, born in its group. Signals wait until the copy has its own handlers."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS_OF_SUPERVISOR)
    try:
        pid = kernel.fork_into(birth.group)
        if pid == 0:
            _be_node(birth, plan)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _be_node(birth: Birth, plan: Plan) -> None:
    """The life of the copy, up to its exit: never returns into the supervisor's code, whatever happens."""
    exit_code = 1
    try:
        _leave_supervisor(birth)
        from cardan.runtime.node.process import run_node

        exit_code = run_node(birth, plan)
    except SystemExit as error:
        exit_code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_code & 0xFF)


def _leave_supervisor(birth: Birth) -> None:
    """Give up everything that belongs to the supervisor: its death, session, descriptors, signals, name."""
    if not kernel.signal_on_parent_death(birth.parent_pid, signal.SIGKILL):
        os._exit(1)
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in SIGNALS_OF_SUPERVISOR:
        signal.signal(number, signal.SIG_DFL)
    _keep_only(birth.descriptors())
    kernel.show_as(f"cardan-{birth.node}", f"cardan-node {birth.node} {birth.paths.run_id}")
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _keep_only(kept: set[int]) -> None:
    """Close every descriptor but the standard ones and `kept`; read nothing more from the terminal."""
    first = FIRST_FREE_FD
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
