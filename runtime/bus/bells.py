"""The bells of a run: who need not be woken up, since it is awake and will look into its rings before it sleeps.

    page    a line of the cache for each node; only that node writes it:
            0   twice the number of its sleep, one more when it is awake; 0: nobody knows
            8   the processor on which it fell asleep

Waking up a process is what a message costs most. A node says that it is awake; it takes that back and looks once more
into its rings before it sleeps. And a node that sleeps on another processor is rung before its message is written: that
is done by the time it has come. If it has looked too early, its next sleep has another number, and it is rung again.
All this takes an order of loads and stores which Python cannot command: without compiled parts every message rings when
it is there, and no node ever says how it sleeps, so both kinds get on with each other.
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
LINE, WORD = 64, 8
NOBODY_KNOWS = bytes(WORD)


class PythonBell:
    """The bell at offset `at` of the page, and the eventfd that it is: it is always rung."""

    def __init__(self, whole: mmap.mmap, at: int, eventfd: int) -> None:
        self._line = memoryview(whole)[at : at + WORD]
        self._eventfd = eventfd

    def announce(self) -> int:
        """Wake up the node for a message that is yet to be written, where that pays.

        Which sleep of it that ends, for `ring`; 0 when it was let sleep.
        """
        return 0

    def ring(self, announced: int) -> None:
        """Wake up the node unless it will look by itself. Behind the message that it is to find.

        announced: what `announce` has said of this message.
        """
        try:
            os.eventfd_write(self._eventfd, 1)
        except BlockingIOError:
            return  # 2**64 wake-ups that nobody took: it is awake

    def fall_asleep(self) -> None:
        """The node is about to sleep: it has to be rung from now on, and looks into its rings behind this."""
        self._line[:] = NOBODY_KNOWS

    def sleep(self, epoll: select.epoll, timeout_s: float) -> list[int]:
        """Until a descriptor is readable, or time is up; the readable ones. The node is awake behind this.

        It looks into its rings before it sleeps again.
        """
        return [descriptor for descriptor, _ in epoll.poll(timeout_s)]

    def release(self) -> None:
        """Let go of the memory."""
        self._line.release()


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

    def of(self, node: str, eventfd: int) -> PythonBell:
        """The bell of one node, which is woken up by that eventfd."""
        bell = Bell(self._page, self._places[node], eventfd)
        self._given.append(bell)
        return bell

    def close(self) -> None:
        for bell in self._given:
            bell.release()
        self._page.close()
