"""Builds in the background, one at a time, while the vehicle drives on what it has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from cardan.engines.build.build import Build, Ended
from cardan.engines.build.messages import BuildOrder
from cardan.runtime.clock import Clock

StartBuild = Callable[[BuildOrder, Clock], Build]


class BackgroundBuilds:
    """Carries out orders one after the other. Look at it with `poll` in any loop; it never blocks."""

    def __init__(self, orders: Sequence[BuildOrder], clock: Clock, start: StartBuild = Build) -> None:
        self._waiting = deque(orders)
        self._clock = clock
        self._start = start
        self._build: Build | None = None
        self._order: BuildOrder | None = None

    @property
    def idle(self) -> bool:
        """True when there is nothing left to build."""
        return self._build is None and not self._waiting

    @property
    def shown(self) -> str:
        """What is being built, for people; empty when idle."""
        if self._order is None or self._build is None:
            return ""
        progress = self._build.progress
        return f"{self._order.backend}: {progress.phase}" if progress else f"{self._order.backend}: starting"

    def poll(self) -> tuple[BuildOrder, Ended] | None:
        """An order that has just ended, and how; None otherwise. Starts the next one."""
        if self._build is None:
            if self._waiting:
                self._order = self._waiting.popleft()
                self._build = self._start(self._order, self._clock)
            return None
        ended = self._build.poll()
        if ended is None or self._order is None:
            return None
        order = self._order
        self._build.close()
        self._build = self._order = None
        return order, ended

    def close(self) -> None:
        """Give up what is left."""
        self._waiting.clear()
        if self._build is not None:
            self._build.close()
        self._build = self._order = None
