"""The encoder of one topic: a program, the thread that serves it, and what happens when the program does not.

`offer` and `take` never block. A program that dies, hangs, or gives something else than was asked for costs what was in
it; it is started again after a pause that doubles each time, and meanwhile nothing is taken.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import NamedTuple

from cardan.runtime.clock import Clock, MonotonicClock, ns
from cardan.runtime.errors import CardanError
from cardan.runtime.record.video.child import Child, Coded, Frame
from cardan.runtime.record.video.choose import Choice
from cardan.runtime.record.video.commands import Shape, Wish

TURN_S = 0.1
"""Longest wait of the thread, for what nobody wakes it up for."""


class Limits(NamedTuple):
    """How patient we are."""

    hang_s: float = 2.0
    """A program that has something to do and does nothing for so long is ended."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    well_after_s: float = 30.0
    """A program that lived for so long had no trouble: the next pause is the first again."""


USUAL = Limits()


class Counts(NamedTuple):
    """Since the beginning."""

    taken: int
    """Frames."""
    lost: int
    """Of those: they went into a program that ended."""
    starts: int


class Encoder:
    """Encodes the frames of one topic. The thread ends with `close`.

    choose: gives the encoder of this computer; may block, and raise one of our errors. limit_bytes: of frames that
    wait. trouble: called in the thread when the program is away, once until it is back, with the reason.
    """

    def __init__(
        self,
        shape: Shape,
        wish: Wish,
        choose: Callable[[], Choice],
        *,
        limit_bytes: int,
        trouble: Callable[[str], None],
        limits: Limits = USUAL,
        clock: Clock | None = None,
    ) -> None:
        self.shape = shape
        self._wish = wish
        self._choose = choose
        self._most = max(1, limit_bytes // shape.frame_bytes)
        self._trouble = trouble
        self._limits = limits
        self._clock = clock or MonotonicClock()
        self._changed = Condition()
        self._waiting: deque[Frame] = deque()
        self._coded: deque[Coded] = deque()
        self._takes, self._closing, self._cut_off = True, False, False
        self._taken = self._lost = self._starts = 0
        self._failures = 0
        self._told = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = Thread(target=self._run, name="cardan-h264", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame) -> bool:
        """Encode a frame; False when there is no program, or too much waits for it: the frame is not taken then."""
        with self._changed:
            if not self._takes or self._closing or len(self._waiting) >= self._most:
                return False
            self._waiting.append(frame)
            self._taken += 1
        os.eventfd_write(self._wake, 1)
        return True

    def take(self) -> list[Coded]:
        """What has come out since the last call, in order."""
        with self._changed:
            found = list(self._coded)
            self._coded.clear()
        return found

    def counts(self) -> Counts:
        """What became of the frames."""
        with self._changed:
            return Counts(self._taken, self._lost, self._starts)

    def begin_close(self) -> None:
        """Take nothing more, and let the program give what is in it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        os.eventfd_write(self._wake, 1)

    def close(self, timeout_s: float) -> bool:
        """Wait for the end; False when it was cut off after `timeout_s`. `take` has the last pictures then."""
        if self._wake < 0:
            return True
        self.begin_close()
        self._thread.join(timeout_s)
        in_time = not self._thread.is_alive()
        if not in_time:
            self._cut_off = True
            self._thread.join(3 * TURN_S)  # it may still be trying what works; then it ends with the process
        if not self._thread.is_alive():
            os.close(self._wake)
            self._wake = -1
        return in_time

    # ---------------------------------------------------------------------------------------------------- in the thread

    def _run(self) -> None:
        while not self._over():
            began_ns = self._clock.now_ns()
            failure = self._life()
            if not failure:
                return
            well = self._clock.now_ns() - began_ns > ns(self._limits.well_after_s)
            self._failures = 1 if well else self._failures + 1
            self._pause(failure)

    def _over(self) -> bool:
        with self._changed:
            return self._cut_off or (self._closing and not self._waiting)

    def _life(self) -> str:
        """One program from its start to its end; why it ended, empty when it was told to."""
        try:
            choice = self._choose()
            words = choice.words(self.shape, self._wish)
        except CardanError as error:
            return error.message
        hang_s = self._limits.hang_s
        try:
            child = Child(words, self._waiting, self._give, wake=self._wake, clock=self._clock, hang_s=hang_s)
        except OSError as error:
            return f"{words[0]} cannot be started: {error.strerror}"
        with self._changed:
            self._takes = True
            self._starts += 1
        try:
            return self._serve(child, choice.name)
        finally:
            child.end()
            with self._changed:
                self._lost += child.lost

    def _serve(self, child: Child, name: str) -> str:
        while not self._cut_off:
            failure = child.turn(TURN_S, last=self._closing)
            if failure is not None:
                return f"{name} {failure}" if failure else ""
        return f"{name} was cut off"

    def _give(self, coded: Coded) -> None:
        with self._changed:
            self._coded.append(coded)
            self._told = False

    def _pause(self, failure: str) -> None:
        """Take nothing for a while, and give up what waits."""
        with self._changed:
            self._takes = False
            self._lost += len(self._waiting)
            self._waiting.clear()
        limits = self._limits
        pause_s = min(limits.longest_pause_s, limits.first_pause_s * 2 ** min(self._failures - 1, 20))
        if not self._told:
            self._told = True
            self._trouble(f"{failure}; it is tried again in {pause_s:g} s, then less often")
        with self._changed:
            self._changed.wait_for(lambda: self._closing, pause_s)
