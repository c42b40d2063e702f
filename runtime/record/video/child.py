"""One life of an encoder program: pictures in, access units out; nobody waits for it but its thread."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from os import eventfd_read
from typing import NamedTuple

from cardan.runtime.clock import Clock, ns
from cardan.runtime.record.video.annexb import AccessUnit, Splitter
from cardan.runtime.record.video.choose import last_line

PIPE_BYTES = 1 << 20
READ_BYTES = 1 << 18
MOST_SAID_BYTES = 4096
MOST_INSIDE = 64
"""Pictures that the program may hold back before it gets no more."""


class Frame(NamedTuple):
    """One picture on its way, with all that its message says."""

    sequence: int
    sent_ns: int
    """Monotonic."""
    origin_ns: int
    own: bytes
    """The other fields and the envelope, as JSON."""
    pixels: memoryview


class Coded(NamedTuple):
    """One picture as it came back. frame: without its pixels."""

    frame: Frame
    unit: AccessUnit


class Child:
    """A running program. One thread.

    waiting: frames that are to go in; taken from the left. give: gets every picture that comes out. wake: descriptor of
    an eventfd that says that `waiting` has changed. OSError when the program cannot be started.
    """

    def __init__(
        self,
        words: Sequence[str],
        waiting: deque[Frame],
        give: Callable[[Coded], None],
        *,
        wake: int,
        clock: Clock,
        hang_s: float,
    ) -> None:
        self._waiting = waiting
        self._give = give
        self._clock = clock
        self._hang_ns = ns(hang_s)
        self._inside: deque[Frame] = deque()
        self._rest: memoryview | None = None
        self._splitter = Splitter()
        self._said = b""
        self._moved_ns = clock.now_ns()
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C in the terminal is for the run, which still wants its last pictures
        )
        ends = [pipe.fileno() for pipe in (self._process.stdin, self._process.stdout, self._process.stderr) if pipe]
        self._in, self._out, self._err = ends
        for end in ends:
            os.set_blocking(end, False)
        with suppress(OSError):  # a smaller pipe costs more turns, no more
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._wake = wake
        self._poll = select.poll()
        for end in (self._out, self._err, wake):
            self._poll.register(end, select.POLLIN)
        self._open = {self._out, self._err}

    @property
    def lost(self) -> int:
        """Frames that went in and did not come out."""
        return len(self._inside)

    def turn(self, timeout_s: float, *, last: bool = False) -> str | None:
        """Move what can be moved, or wait for that; how the program ended, None while it goes on.

        last: nothing more comes to `waiting`, so that the program is told, and ends when it has given everything.
        """
        self._take_next()
        if last and self._rest is None and not self._waiting:
            self._close_input()
        busy = last or self._rest is not None or bool(self._waiting)
        for end in self._ready(timeout_s):
            failure = self._move(end)
            if failure is not None:
                return failure
        if self._out not in self._open:
            return self._ended(last=last)
        if not busy:
            self._moved_ns = self._clock.now_ns()  # nothing was asked of it
        elif self._clock.now_ns() - self._moved_ns > self._hang_ns:
            return f"took nothing and gave nothing for {self._hang_ns / 1e9:g} s"
        return None

    def end(self) -> None:
        """Whatever it does: it is over when this returns."""
        self._close_input()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _ready(self, timeout_s: float) -> list[int]:
        """The ends at which something can be moved. The input is polled for this once: moving may close it."""
        if self._in >= 0:
            self._poll.register(self._in, select.POLLOUT if self._rest is not None else 0)
        try:
            return [end for end, _ in self._poll.poll(timeout_s * 1000)]
        finally:
            if self._in >= 0:
                self._poll.unregister(self._in)

    def _take_next(self) -> None:
        if self._rest is None and self._waiting and len(self._inside) < MOST_INSIDE and self._in >= 0:
            frame = self._waiting.popleft()
            self._rest = frame.pixels
            self._inside.append(frame)

    def _move(self, end: int) -> str | None:
        if end == self._wake:
            eventfd_read(end)
        elif end == self._in:
            return self._write()
        elif end == self._out:
            return self._read()
        else:
            self._listen()
        return None

    def _write(self) -> str | None:
        if self._rest is None:
            self._close_input()  # nobody reads at the other end
            return None
        try:
            count = os.write(self._in, self._rest)
        except BlockingIOError:
            return None
        except BrokenPipeError:
            self._close_input()
            return None
        self._moved_ns = self._clock.now_ns()
        self._rest = self._rest[count:] if count < len(self._rest) else None
        return None

    def _read(self) -> str | None:
        data = os.read(self._out, READ_BYTES)
        self._moved_ns = self._clock.now_ns()
        if not data:
            self._closed(self._out)
        try:
            units = self._splitter.feed(data) if data else self._splitter.end()
        except ValueError as error:
            return f"gave something else than H.264: {error}"
        for unit in units:
            if not self._inside or (self._rest is not None and len(self._inside) == 1):
                return "gave more pictures than it was given"
            self._give(Coded(self._inside.popleft()._replace(pixels=memoryview(b"")), unit))
        return None

    def _listen(self) -> None:
        data = os.read(self._err, MOST_SAID_BYTES)
        if not data:
            self._closed(self._err)
        self._said = (self._said + data)[-MOST_SAID_BYTES:]

    def _closed(self, end: int) -> None:
        self._poll.unregister(end)
        self._open.discard(end)

    def _close_input(self) -> None:
        if self._in >= 0 and self._process.stdin is not None:
            self._in = -1
            with suppress(OSError):
                self._process.stdin.close()

    def _ended(self, *, last: bool) -> str:
        """Empty where it was told to end, and has given everything."""
        with suppress(BlockingIOError):
            while self._err in self._open:
                self._listen()
        try:
            code = self._process.wait(self._hang_ns / 1e9)
        except subprocess.TimeoutExpired:
            return "closed its outputs and does not end"
        if last and code == 0 and not self._inside and not self._waiting:
            return ""
        said = last_line(self._said)
        how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        missing = f", {len(self._inside)} pictures short" if self._inside else ""
        return f"{how}{missing}{f': {said}' if said else ''}"
