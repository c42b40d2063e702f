"""Bundles for the page: one at a time, made by `cardan bundle make` in a process of its own, then read from disk."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.errors import RunError

MADE_WITHIN_S = 60.0
"""Every collector has a shorter limit; this one is for the process as a whole."""
COMMAND = ("-m", "cardan.runtime.cli.main", "bundle", "make", "--json")


class Made(msgspec.Struct):
    """A bundle that is there."""

    id: str
    file: str

    @property
    def path(self) -> Path:
        return Path(self.file)


class Bundles:
    """Thread-safe."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    def make(self, found: FoundRun) -> Made:
        """Make a bundle of a run. Blocks for seconds; RunError with the reason when there is none."""
        if not self._busy.acquire(blocking=False):
            raise RunError("a bundle is being made already", hint="wait for it")
        try:
            return _make(found)
        finally:
            self._busy.release()


def _make(found: FoundRun) -> Made:
    command = [sys.executable, *COMMAND, "--data-dir", str(found.data_dir)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=MADE_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"no bundle was made: {error}", hint="cardan bundle make") from error
    if done.returncode not in (Exit.HEALTHY, Exit.FINDING):  # a finding: a collector failed, and the bundle names it
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise RunError(f"no bundle was made: {said[0]}", hint="cardan bundle make")
    try:
        return msgspec.json.decode(done.stdout, type=Made)
    except msgspec.MsgspecError as error:
        raise RunError("no bundle was made: what it said cannot be read", hint="cardan bundle make") from error
