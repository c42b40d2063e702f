"""The bells of a run: who need not be woken up, since it is awake and will look into its rings before it sleeps.

    page    one word for each node, on a line of the cache of its own; only that node writes it

Waking up a process is what a message costs most. A node says that it is awake; it takes that back and looks once more
into its rings before it sleeps. That takes an order of loads and stores which Python cannot command: without compiled
parts every message rings, and no node ever says that it is awake, so both kinds get on with each other.
"""

from __future__ import annotations

import mmap
import os
import select
from pathlib import Path

from cardan.runtime.bus.native import compiled
from cardan.runtime.bus.shared_file import new_shared_file
from cardan.runtime.errors import BusError
from cardan.runtime.plan import Plan

FILE = "bells"
LINE = 64


class PythonBell:
    """The bell at offset `at` of the page: it is always rung."""

    def __init__(self, whole: mmap.mmap, at: int) -> None:
        pass

    def ring(self, eventfd: int) -> None:
        """Wake up the node unless it is awake. Behind the message that it is to find."""
        try:
            os.eventfd_write(eventfd, 1)
        except BlockingIOError:
            return  # 2**64 wake-ups that nobody took: it is awake

    def fall_asleep(self) -> None:
        """The node is about to sleep: it has to be rung from now on, and looks into its rings behind this."""

    def sleep(self, epoll: select.epoll, timeout_s: float) -> list[int]:
        """Until a descriptor is readable, or time is up; the readable ones. The node is awake behind this.

        It looks into its rings before it sleeps again.
        """
        return [descriptor for descriptor, _ in epoll.poll(timeout_s)]

    def release(self) -> None:
        """Let go of the memory."""


Bell: type[PythonBell] = PythonBell if compiled is None else compiled.Bell


def create_bells(plan: Plan, bus_dir: Path) -> None:
    """Make the page, with every node asleep; BusError when there is no room for it."""
    with new_shared_file(bus_dir / FILE, max(1, len(plan.nodes)) * LINE, "the bells"):
        pass


class Bells:
    """The page, mapped. Close it when none of its bells is in use any more."""

    def __init__(self, plan: Plan, bus_dir: Path) -> None:
        self._places = {node.name: index * LINE for index, node in enumerate(plan.nodes)}
        self._given: list[PythonBell] = []
        try:
            with (bus_dir / FILE).open("r+b") as file:
                self._page = mmap.mmap(file.fileno(), len(self._places) * LINE)
        except (OSError, ValueError) as error:
            raise BusError(
                f"cannot open {bus_dir / FILE}: {error}",
                hint="is the run active, and has nobody swept its shared memory (RemoveIPC= of logind.conf)?",
            ) from error

    def of(self, node: str) -> PythonBell:
        """The bell of one node."""
        bell = Bell(self._page, self._places[node])
        self._given.append(bell)
        return bell

    def close(self) -> None:
        for bell in self._given:
            bell.release()
        self._page.close()
