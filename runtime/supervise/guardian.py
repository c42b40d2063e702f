"""The guardian: waits for the supervisor, and when that has ended, for whatever reason, leaves nothing behind.

A process whose parent dies comes to the supervisor, and after that to the guardian, so that even one that has left its
node's session is ended with the run. The guardian was started before anything was loaded, and stays small.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.errors import CardanError, RunError
from cardan.runtime.run import RunPaths, hold_lock, keep_last, sweep
from cardan.runtime.supervise import kernel

PASSED_ON = (signal.SIGTERM, signal.SIGINT)
BLOCKED = (signal.SIGCHLD, signal.SIGUSR1, *PASSED_ON)
"""The supervisor unblocks what it handles once it has its handlers."""
GONE_WITHIN_NS = ns(1.5)


def guard(paths: RunPaths, supervise: Callable[[int], int], parent_pid: int | None = None) -> int:
    """Run `supervise(guardian pid)` in a child and clean up after it; returns its exit code, or 1 if it was killed.

    parent_pid: stop in order when this process, our parent, dies.
    """
    _lock(paths)
    kernel.adopt_orphans()
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    guardian_pid = os.getpid()
    supervisor_pid = os.fork()
    if supervisor_pid == 0:
        _be_supervisor(paths, supervise, guardian_pid)
    kernel.show_as("cardan-guardian", f"cardan-guardian {paths.run_id}")
    if parent_pid and not kernel.signal_on_parent_death(parent_pid, signal.SIGTERM):
        os.kill(supervisor_pid, signal.SIGTERM)
    exit_code = _wait_for(supervisor_pid)
    end_children(GONE_WITHIN_NS)
    clean_up(paths, supervisor_pid, exit_code)
    return exit_code if exit_code >= 0 else 1


def _lock(paths: RunPaths) -> None:
    """Hold the run for the life of this process and of the supervisor, who inherits the descriptor."""
    try:
        hold_lock(paths)
    except OSError as error:
        raise RunError(f"cannot supervise {paths.run_dir}: {error.strerror}", hint="has it a supervisor?") from error


def clean_up(paths: RunPaths, supervisor_pid: int, exit_code: int) -> None:
    """Keep plan and vitals of the run that has ended, and sweep the rest."""
    if exit_code != 0:
        _report_death(paths, supervisor_pid, exit_code)
    with suppress(OSError):  # a full disk must not keep shared memory occupied
        keep_last(paths)
    sweep(paths)


def end_children(within_ns: int) -> None:
    """Kill every child and all that they leave to us, and wait until they are gone, for at most `within_ns`."""
    clock = MonotonicClock()
    deadline_ns = clock.now_ns() + within_ns
    while clock.now_ns() < deadline_ns:
        for pid in kernel.child_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not _reap_all():
            return
        signal.sigtimedwait([signal.SIGCHLD], 0.02)


def _be_supervisor(paths: RunPaths, supervise: Callable[[int], int], guardian_pid: int) -> None:
    """The supervisor's process, up to its exit. It sweeps itself if the guardian is gone by then."""
    exit_code = 1
    try:
        if kernel.signal_on_parent_death(guardian_pid, signal.SIGUSR1):
            exit_code = supervise(guardian_pid)
    except CardanError as error:
        sys.stderr.write(f"{error}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        if os.getppid() != guardian_pid:
            end_children(GONE_WITHIN_NS)
            clean_up(paths, os.getpid(), exit_code)
        sys.stderr.flush()
        os._exit(exit_code)


def _wait_for(supervisor_pid: int) -> int:
    """Pass signals on until the supervisor has ended; its exit code, negative for a signal."""
    while True:
        number = signal.sigwait([signal.SIGCHLD, *PASSED_ON])
        if number in PASSED_ON:
            os.kill(supervisor_pid, number)
            continue
        for pid, status in _reaped():
            if pid == supervisor_pid:
                return os.waitstatus_to_exitcode(status)


def _reaped() -> list[tuple[int, int]]:
    """Every child that has ended by now, with its status."""
    ended = []
    with suppress(ChildProcessError):
        while (entry := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(entry)
    return ended


def _reap_all() -> bool:
    """Reap what has ended; True while there are children left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def _report_death(paths: RunPaths, supervisor_pid: int, exit_code: int) -> None:
    """If the supervisor did not come to its own end, leave the cause in the vitals for whoever asks."""
    from cardan.runtime.plan import read_plan
    from cardan.runtime.supervise.child import how_it_ended
    from cardan.runtime.vitals import RunState, Vitals, open_vitals

    hint = f"see {paths.logs}/supervisor.err" if exit_code > 0 else "was memory short? try `dmesg | tail`"
    how = how_it_ended(exit_code)
    text = f"the supervisor (process {supervisor_pid}) ended: {how}; all nodes were ended; hint: {hint}"
    with suppress(CardanError, OSError):
        vitals = open_vitals(paths.vitals, read_plan(paths.plan), writable=True)
        if vitals.run_state not in (RunState.STOPPED, RunState.FAILED):
            vitals.report_cause(MonotonicClock().now_ns(), text)
            vitals.words[Vitals.RUN_STATE] = RunState.FAILED
        vitals.close()
