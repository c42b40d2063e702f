"""A build under way, seen from the process that wants the plan: it starts it, looks at it, and may cancel it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from cardan.engines.build.messages import BuildOrder, Cancelled, Done, Failed, Progress, Said
from cardan.runtime.clock import Clock, ns
from cardan.runtime.readable import readable

LONGEST_S = 2 * 3600.0
"""No network of a vehicle takes longer; a builder that does is stuck."""
CANCEL_S = 10.0
"""From asking a builder to give up to killing it: a step may be a minute of kernel timing."""
CHUNK = 65536
DECODER = msgspec.json.Decoder(Said)

Ended = Done | Cancelled | Failed


class Build:
    """A child that builds one plan into a cache. Poll it, or wait for it; `close` ends it in any case.

    verbose: the library's own words go to our standard error.
    """

    def __init__(self, order: BuildOrder, clock: Clock, *, verbose: bool = False, folder: Path | None = None) -> None:
        self._clock = clock
        self._begin_ns = clock.now_ns()
        self._kill_at_ns: int | None = None
        self._cancelled = False
        self._rest = b""
        self.progress: Progress | None = None
        self.ended: Ended | None = None
        self._child = subprocess.Popen(
            [sys.executable, "-m", "cardan.engines.build.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for us: we cancel it in order
        )
        self._write(msgspec.json.encode(order) + b"\n")
        os.set_blocking(self.fileno(), False)

    def fileno(self) -> int:
        """Readable when there is something to poll for."""
        return _pipe(self._child.stdout).fileno()

    def poll(self) -> Ended | None:
        """Take in what the child has said; how it ended, or None while it goes on. Never blocks."""
        if self.ended is None:
            for said in self._said():
                if isinstance(said, Progress):
                    self.progress = said
                else:
                    self.ended = said
        if self.ended is None:
            self._keep_limits()
            self.ended = self._death_or_none()
        return self.ended

    def cancel(self) -> None:
        """Ask the child to give up; it is killed when it has not after ten seconds."""
        if not self._cancelled and self.ended is None:
            self._cancelled = True
            self._kill_at_ns = self._clock.now_ns() + ns(CANCEL_S)
            self._write(b"cancel\n")

    def wait(self, tell: Callable[[Progress], None] = lambda progress: None) -> Ended:
        """Block until it has ended, two hours at most; `tell` hears of each new progress."""
        told = None
        while (ended := self.poll()) is None:
            if self.progress is not None and self.progress != told:
                told = self.progress
                tell(told)
            readable([self.fileno()], 0.2)
        return ended

    def close(self) -> None:
        """End the child if it still runs, and wait for it."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            try:
                _pipe(pipe).close()
            except BrokenPipeError:  # what was still to be told it
                continue

    def _said(self) -> list[Said]:
        try:
            while chunk := os.read(self.fileno(), CHUNK):
                self._rest += chunk
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        return [DECODER.decode(line) for line in lines]

    def _keep_limits(self) -> None:
        now_ns = self._clock.now_ns()
        if now_ns > self._begin_ns + ns(LONGEST_S) or (self._kill_at_ns is not None and now_ns > self._kill_at_ns):
            self._child.kill()

    def _death_or_none(self) -> Ended | None:
        """What it means that the child is gone without a last word."""
        code = self._child.poll()
        if code is None:
            return None
        for said in self._said():
            if not isinstance(said, Progress):
                return said
        if self._cancelled:
            return Cancelled()
        where = f' while "{self.progress.phase}"' if self.progress is not None else ""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return Failed(message=f"the builder {how}{where}", hint="`cardan engine build --verbose` shows what it said")

    def _write(self, data: bytes) -> None:
        pipe = _pipe(self._child.stdin)
        try:
            pipe.write(data)
            pipe.flush()
        except BrokenPipeError:  # it is gone already: poll says how
            return


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the child was started without pipes")
    return pipe
