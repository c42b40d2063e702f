"""Start the supervisor of a run whose plan is written, beside this process or in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn

from cardan.runtime.run import RunPaths


def start_supervisor(paths: RunPaths, with_parent: bool = True) -> subprocess.Popen[bytes]:
    """Start the supervisor and return at once; the vitals appear when it has read the plan.

    with_parent: stop the run in order when the calling process dies (call it in the main thread: the kernel means the
    thread). Otherwise the run goes on without us. SIGTERM or SIGINT to the returned process stops the run in order, a
    second SIGINT at once; its exit code is 0 after an orderly end, 1 when the run failed. It has its own session, so a
    Ctrl-C in the terminal reaches only the caller. What it may have to say goes to `supervisor.err` beside the logs.
    """
    command = _command(paths)
    if with_parent:
        command += ["--with-parent", str(os.getpid())]
    paths.logs.mkdir(parents=True, exist_ok=True)
    with (paths.logs / "supervisor.err").open("ab") as errors:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True)


def become_supervisor(paths: RunPaths) -> NoReturn:
    """Replace this process by the run's guardian: for a service manager, whose main process it then is."""
    paths.logs.mkdir(parents=True, exist_ok=True)
    os.execv(sys.executable, [*_command(paths), "--service"])  # noqa: S606 - nothing here comes from a shell


def _command(paths: RunPaths) -> list[str]:
    return [sys.executable, "-m", "cardan.runtime.supervise", str(paths.run_dir), str(paths.data_dir)]
