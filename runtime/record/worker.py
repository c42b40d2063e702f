"""A thread that does one task after the other, small ones before large ones, with a bound on what may wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Task = Callable[[], None]


class Worker:
    """Does tasks in order; a large one only when no other waits, so that pictures hold up no telemetry.

    `put` never blocks: it refuses what would make more than `limit_bytes` wait, of large tasks and of all others
    each. failed: called in the thread with an `OSError` that a task raised; the next task comes all the same.
    """

    def __init__(self, name: str, limit_bytes: int, failed: Callable[[OSError], None]) -> None:
        self._limit_bytes = limit_bytes
        self._failed = failed
        self._tasks: tuple[deque[tuple[Task, int]], deque[tuple[Task, int]]] = (deque(), deque())
        self._waiting_bytes = [0, 0]
        self._changed = threading.Condition()
        self._busy = False
        self.ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, task: Task, size: int = 0, *, large: bool = False) -> bool:
        """Do `task` later; False when too much is waiting. size: bytes that it keeps in memory."""
        with self._changed:
            if size and self._waiting_bytes[large] + size > self._limit_bytes:
                return False
            self._tasks[large].append((task, size))
            self._waiting_bytes[large] += size
            self._changed.notify_all()
            return True

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing waits; False after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(self._tasks) and not self._busy, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """End the thread when all is done; False when that takes longer, and what waits is then lost."""
        settled = self.settle(timeout_s)
        with self._changed:
            self.ended = True
            self._changed.notify_all()
        if settled:
            self._thread.join(timeout_s)
        return settled

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: any(self._tasks) or self.ended)
                if self.ended:
                    return
                large = not self._tasks[0]
                task, size = self._tasks[large].popleft()
                self._busy = True
            try:
                task()
            except OSError as error:
                self._failed(error)
            finally:
                del task
                with self._changed:
                    self._busy = False
                    self._waiting_bytes[large] -= size
                    self._changed.notify_all()
