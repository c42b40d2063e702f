"""The guardian: waits for the supervisor, and when that has ended, for whatever reason, leaves nothing behind.

A supervisor that gives no sign of life is ended.

A process whose parent dies comes to the supervisor, and after that to the guardian, so that even one that has left its
node's session is ended with the run. The guardian was started before anything was loaded, and stays small.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import closing, suppress

from cardan.runtime.clock import NS_PER_S, MonotonicClock, ns
from cardan.runtime.errors import CardanError, RunError
from cardan.runtime.run import RunPaths, hold_lock, keep_last, keep_plan, sweep
from cardan.runtime.supervise import kernel
from cardan.runtime.supervise.delegation import find_delegation
from cardan.runtime.supervise.groups import RunGroups, enter_groups
from cardan.runtime.supervise.heartbeat import LIMIT_NS, Heartbeat

PASSED_ON = (signal.SIGTERM, signal.SIGINT)
GIVEN_UP = signal.SIGABRT
"""What systemd sends when its watchdog was not fed (WatchdogSignal= of systemd.service(5))."""
BLOCKED = (signal.SIGCHLD, signal.SIGUSR1, GIVEN_UP, *PASSED_ON)
"""The supervisor unblocks what it handles once it has its handlers."""
GONE_WITHIN_NS = ns(1.5)
LAST_CHANCE_NS = ns(2.0)
"""A supervisor that was given up, by us or by the service manager, has this long to stop the run in order."""
SILENT = f"the supervisor gave no sign of life for {LIMIT_NS / NS_PER_S:g} s; all nodes were ended"
UNFED = "the service's watchdog was not fed: a critical node stayed away too long, or the supervisor hung"


def guard(
    paths: RunPaths,
    supervise: Callable[[int, RunGroups | str], int],
    parent_pid: int | None = None,
    echo: Callable[[str, str], None] | None = None,
) -> int:
    """Run `supervise` in a child and clean up after it; returns its exit code, or 1 if it was killed.

    supervise: gets the process id of the guardian, and the control groups of the run or why there are none.
    parent_pid: stop in order when this process, our parent, dies. echo: gets level and text of what only we can tell.
    """
    _lock(paths)
    kernel.adopt_orphans()
    groups = enter_groups(find_delegation(), paths.run_id)
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    guardian_pid = os.getpid()
    supervisor_pid = os.fork()
    if supervisor_pid == 0:
        _be_supervisor(paths, supervise, guardian_pid, groups)
    kernel.show_as("cardan-guardian", f"cardan-guardian {paths.run_id}")
    _note_software(paths)
    if parent_pid and not kernel.signal_on_parent_death(parent_pid, signal.SIGTERM):
        os.kill(supervisor_pid, signal.SIGTERM)
    exit_code, why = _wait_for(supervisor_pid, Heartbeat(paths.vitals, MonotonicClock().now_ns()))
    end_children(GONE_WITHIN_NS)
    _leave(groups)
    cause = clean_up(paths, supervisor_pid, exit_code, why)
    if echo is not None and cause:
        echo("error", f"verdict: {cause}")
    return 1 if why or exit_code < 0 else exit_code


def _note_software(paths: RunPaths) -> None:
    """Keep what software this run has, in a child that gives way to everybody: nothing waits for it."""
    if os.fork():
        return
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        from cardan.runtime.plan import read_plan
        from cardan.runtime.software import software_of, write_software

        keep_plan(paths)
        write_software(paths.logs, software_of(read_plan(paths.plan), paths.run_id))
    except CardanError:
        pass  # the supervisor says what is wrong with this plan
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _lock(paths: RunPaths) -> None:
    """Hold the run for the life of this process and of the supervisor, who inherits the descriptor."""
    try:
        hold_lock(paths)
    except OSError as error:
        raise RunError(f"cannot supervise {paths.run_dir}: {error.strerror}", hint="has it a supervisor?") from error


def clean_up(paths: RunPaths, supervisor_pid: int, exit_code: int, why: str = "") -> str:
    """Keep plan and vitals of the run that has ended, and sweep the rest.

    why: what ended it, where that is known. Returns the first cause if the supervisor could not tell it itself.
    """
    cause = ""
    if exit_code != 0 or why:
        how = why or _how_supervisor_ended(paths, supervisor_pid, exit_code)
        cause = _report_death(paths, how, given_up=bool(why))
    with suppress(OSError):  # a full disk must not keep shared memory occupied
        keep_last(paths)
    sweep(paths)
    return cause


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


def _leave(groups: RunGroups | str) -> None:
    if not isinstance(groups, str):
        groups.leave()


def _be_supervisor(
    paths: RunPaths, supervise: Callable[[int, RunGroups | str], int], guardian_pid: int, groups: RunGroups | str
) -> None:
    """The supervisor's process, up to its exit. It sweeps itself if the guardian is gone by then."""
    exit_code = 1
    try:
        if kernel.signal_on_parent_death(guardian_pid, signal.SIGUSR1):
            exit_code = supervise(guardian_pid, groups)
    except CardanError as error:
        sys.stderr.write(f"{error}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        if os.getppid() != guardian_pid:
            end_children(GONE_WITHIN_NS)
            _leave(groups)
            clean_up(paths, os.getpid(), exit_code)
        sys.stderr.flush()
        os._exit(exit_code)


def _wait_for(supervisor_pid: int, heartbeat: Heartbeat) -> tuple[int, str]:
    """Pass signals on until the supervisor has ended; its exit code (negative: a signal), and why it was given up."""
    clock = MonotonicClock()
    why, due_ns = "", heartbeat.due_ns
    while True:
        number, now_ns = _next_signal(due_ns - clock.now_ns()), clock.now_ns()
        if number in PASSED_ON:
            os.kill(supervisor_pid, number)
        elif why and now_ns >= due_ns:
            os.kill(supervisor_pid, signal.SIGKILL)
            due_ns = now_ns + LAST_CHANCE_NS
        elif not why and (number == GIVEN_UP or (now_ns >= due_ns and heartbeat.is_silent(now_ns))):
            why, due_ns = UNFED if number == GIVEN_UP else SILENT, now_ns + LAST_CHANCE_NS
            os.kill(supervisor_pid, signal.SIGTERM)
        elif not why:
            due_ns = heartbeat.due_ns
        for pid, status in _reaped():
            if pid == supervisor_pid:
                return os.waitstatus_to_exitcode(status), why


def _next_signal(within_ns: int) -> int:
    """The next signal meant for the guardian; 0 when none comes in time."""
    wanted = (signal.SIGCHLD, GIVEN_UP, *PASSED_ON)
    information = signal.sigtimedwait(wanted, max(0.0, within_ns / NS_PER_S))
    return 0 if information is None else information.si_signo


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


def _how_supervisor_ended(paths: RunPaths, supervisor_pid: int, exit_code: int) -> str:
    from cardan.runtime.supervise.child import how_it_ended

    said = "the journal of the service" if os.environ.get("JOURNAL_STREAM") else f"{paths.logs}/supervisor.err"
    hint = f"see {said}" if exit_code > 0 else "was memory short? try `dmesg | tail`"
    how = how_it_ended(exit_code)
    return f"the supervisor (process {supervisor_pid}) ended: {how}; all nodes were ended; hint: {hint}"


def _report_death(paths: RunPaths, why: str, given_up: bool) -> str:
    """If the run did not come to its own end, leave the cause in the vitals for whoever asks; the first cause then.

    given_up: it came to an end because the supervisor was given up.
    """
    from cardan.runtime.plan import read_plan
    from cardan.runtime.vitals import RunState, Vitals, open_vitals

    with suppress(CardanError, OSError):
        with closing(open_vitals(paths.vitals, read_plan(paths.plan), writable=True)) as vitals:
            if vitals.run_state in (RunState.STOPPED, RunState.FAILED) and not given_up:
                return ""
            vitals.report_cause(MonotonicClock().now_ns(), why, "supervisor-lost")
            vitals.words[Vitals.RUN_STATE] = RunState.FAILED
            return vitals.cause
    return why
