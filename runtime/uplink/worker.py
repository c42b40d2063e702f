"""The thread that waits for the store, so that the node never does."""

from __future__ import annotations

from threading import Condition, Thread

from cardan.runtime.uplink.sync import Progress, Sync

IDLE_S = 0.1
"""How long it waits when there is nothing to send."""


class Worker:
    """Steps a Sync in a thread of its own until `stop`. What ends the thread is raised in the node, by `check`."""

    def __init__(self, sync: Sync) -> None:
        self._sync = sync
        self._changed = Condition()
        self._stopping = self._retry = False
        self._idle_rounds = self._wanted = 0
        self._error: BaseException | None = None
        self._progress = sync.progress()
        self._records = 0
        # A store that hangs must not keep the process from ending: what was claimed is offered again.
        self._thread = Thread(target=self._run, name="uplink", daemon=True)
        self._thread.start()

    def check(self) -> Progress:
        """The newest progress. Raises what ended the thread."""
        with self._changed:
            if self._error is not None:
                raise self._error
            return self._progress

    def take_records(self) -> int:
        """How many records were delivered since the last call."""
        with self._changed:
            records, self._records = self._records, 0
            return records

    def retry(self) -> None:
        """Try again now, also what was refused."""
        with self._changed:
            self._retry = True
            self._changed.notify_all()

    def settle(self, timeout_s: float) -> bool:
        """Wait until there is nothing to send at this moment; False when that takes longer."""
        with self._changed:
            self._wanted = self._idle_rounds + 2  # the round that is under way may have begun before
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: self._error is not None or self._idle_rounds >= self._wanted, timeout_s
            )

    def stop(self, timeout_s: float) -> bool:
        """Send nothing more; False when the store has not answered within the time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._round():
                pass
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _round(self) -> bool:
        """One object, or one wait; False at the end."""
        with self._changed:
            retry, self._retry = self._retry, False
        if retry:
            self._sync.retry()
        records = self._sync.step()
        progress = self._sync.progress()
        with self._changed:
            self._progress = progress
            self._records += records
            if not records:
                self._idle_rounds += 1
                self._changed.notify_all()
                if not self._stopping and not self._retry and self._idle_rounds >= self._wanted:
                    self._changed.wait(IDLE_S)
            return not self._stopping
