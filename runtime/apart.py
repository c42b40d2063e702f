"""A process apart: it does what it is asked for by number, one after the other, and may hang or crash at that.

It is a fork, so it knows all that its parent knew, and whatever it imports for one task is there for the next. Who asks
waits on its pipe for as long as it likes, and ends it.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from cardan.runtime.readable import readable

GONE_WITHIN_S = 1.0
"""A killed process ends at once, unless the kernel holds it: then whoever inherits it waits for it."""
READ_BYTES = 65536
NUMBER_BYTES = 4

Work = Callable[[int], bytes]
"""Does the task of a number; its answer has no line break. Raises nothing."""


class Worker:
    """One process. Not thread-safe; whoever makes one calls `end()`."""

    def __init__(self, work: Work) -> None:
        asked, self._asks = os.pipe()
        self.pipe, told = os.pipe()
        """Readable when it has said something, or has ended."""
        self._said = b""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: the child only does its work
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._asks)
            os.close(self.pipe)
            be_worker(work, asked, told)
        os.close(asked)
        os.close(told)
        with suppress(OSError):  # both sides do it: whoever comes first
            os.setpgid(self._pid, self._pid)

    def ask(self, number: int) -> None:
        """Give it the task of a number. One that has died says nothing to it."""
        with suppress(BrokenPipeError):
            os.write(self._asks, number.to_bytes(NUMBER_BYTES, "little"))

    def take(self) -> tuple[bytes, bool]:
        """Its answer, empty until that is whole; and whether it has ended. Blocks unless its pipe is readable."""
        piece = os.read(self.pipe, READ_BYTES)
        said = self._said + piece
        is_whole = said.endswith(b"\n")
        self._said = b"" if is_whole else said
        return said if is_whole else b"", not piece

    def end(self, within_s: float = GONE_WITHIN_S) -> int | None:
        """Kill it and all that it has started: how it ended, as `os.waitstatus_to_exitcode` has it; None if it has not.

        Blocks for `within_s` at most.
        """
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(self._pid, signal.SIGKILL)
        os.close(self._asks)
        os.close(self.pipe)
        with suppress(OSError):
            ended = os.pidfd_open(self._pid)
            try:
                readable([ended], within_s)
            finally:
                os.close(ended)
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


def be_worker(work: Work, asked: int, told: int) -> NoReturn:
    """The process: a group of its own, what it prints goes nowhere. It ends when nobody can ask any more."""
    code = 1
    try:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):  # whoever reads our output must not wait for a process that never ends
            os.dup2(nowhere, descriptor)
        for ends in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ends, signal.SIG_DFL)
        while number := os.read(asked, NUMBER_BYTES):
            message = memoryview(work(int.from_bytes(number, "little")) + b"\n")
            while message:
                message = message[os.write(told, message) :]
        code = 0
    finally:
        os._exit(code)
