"""Wait for time, for a signal, or for the end of a process: signals are counted, they never interrupt anything."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

from cardan.runtime.readable import readable

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wakeups:
    """Use it as a context manager in the main thread; the signals are as before when it has ended.

    Ctrl-C, SIGTERM and SIGHUP count as wishes to stop. Ctrl-Z is ignored, it would leave a drawn terminal as it is.
    """

    def __init__(self) -> None:
        self.stop_wishes = 0
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Wakeups:
        self._before_fd = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._count) for number in self._heard()}
        self._before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, _redraw)
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        os.close(self._read_end)
        os.close(self._write_end)

    def wait(self, timeout_s: float, *descriptors: int) -> list[int]:
        """Wait until a signal comes, a descriptor is readable, or time is over; the descriptors that are readable."""
        ready = readable([self._read_end, *descriptors], timeout_s)
        if self._read_end in ready:
            os.read(self._read_end, 1024)
        return [descriptor for descriptor in ready if descriptor != self._read_end]

    @staticmethod
    def _heard() -> list[signal.Signals]:
        """`nohup` has SIGHUP ignored, and means it."""
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        return [number for number in STOPPING if not (ignored and number == signal.SIGHUP)]

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.stop_wishes += 1


def _redraw(number: int, frame: FrameType | None) -> None:
    """The terminal has another size: it is enough that the wait ends."""
