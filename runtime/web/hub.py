"""The hub: one thread that looks at the run, and hands every page the same document. No page holds it up."""

from __future__ import annotations

import queue
import threading

import msgspec

from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import CardanError, RunError
from cardan.runtime.web.document import nothing
from cardan.runtime.web.watcher import Find, Watcher

LOOK_S = 0.05
"""How soon a change is noticed while somebody looks."""
IDLE_S = 0.5
"""While nobody does: often enough for a ring to hold all verdicts since."""
USUAL_NS = ns(1.0)
"""A document is sent at least so often."""
FIND_NS = ns(1.0)
"""How soon a new run is found, or the end of this one."""
WAITING = 8
"""Documents that may wait for one page."""


class Viewer:
    """One open page: a bounded queue of documents."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[bytes] = queue.Queue(WAITING)
        self.gone = False
        """It was too slow, or the hub has closed; the browser asks again."""

    def offer(self, text: bytes) -> bool:
        """False when the page has not taken the last WAITING documents."""
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            return False
        return True

    def take(self, timeout_s: float) -> bytes | None:
        """The next document; None when none comes in time."""
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return None


class Hub:
    """`start` it, `join` and `leave` it from any thread, `close` it."""

    def __init__(self, find: Find, clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._viewers: set[Viewer] = set()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stopping = False
        self._watcher: Watcher | None = None
        self._trouble: CardanError | None = None
        self._find_ns = self._due_ns = 0
        self._state: tuple[object, ...] = ()
        self._thread = threading.Thread(target=self._work, name="page-hub", daemon=True)
        self.dropped = 0
        """Viewers that were too slow."""

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Let every viewer go, and end the thread."""
        self._stopping = True
        self._news.set()
        self._thread.join(5.0)
        with self._lock:
            for viewer in self._viewers:
                viewer.gone = True

    def join(self) -> Viewer:
        """A new page: it gets a document at once."""
        viewer = Viewer()
        with self._lock:
            self._viewers.add(viewer)
            self._due_ns = 0
        self._news.set()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        with self._lock:
            self._viewers.discard(viewer)

    def drop(self, viewer: Viewer) -> None:
        """It takes nothing any more; counted."""
        with self._lock:
            viewer.gone = True
            self._viewers.discard(viewer)
            self.dropped += 1

    @property
    def found(self) -> FoundRun | None:
        """The run that is shown."""
        watcher = self._watcher
        return watcher.found if watcher is not None else None

    def _work(self) -> None:
        try:
            while not self._stopping:
                self.look()
                self._news.wait(LOOK_S if self._viewers else IDLE_S)
                self._news.clear()
        finally:
            if self._watcher is not None:
                self._watcher.close()

    def look(self) -> None:
        """One look at the run: find it, hear what it said, and tell the viewers when there is something to tell."""
        now_ns = self._clock.now_ns()
        if now_ns >= self._find_ns:
            self._find_ns = now_ns + FIND_NS
            self._follow()
        if self._watcher is not None:
            self._watcher.listen()
        state = self._watcher.state if self._watcher is not None else ()
        if self._viewers and (now_ns >= self._due_ns or state != self._state):
            self._state, self._due_ns = state, now_ns + USUAL_NS
            self._tell(self._text())

    def _follow(self) -> None:
        """The run may have ended, and another may have begun."""
        try:
            found = self._find()
        except CardanError as error:
            self._trouble = error
            return
        except OSError as error:  # the run was swept away while it was being read
            self._trouble = RunError(f"the run cannot be read: {error}", hint="has it just ended?")
            return
        self._trouble = None
        old = self._watcher
        if old is not None and (old.found.run_id, old.found.live) == (found.run_id, found.live):
            found.vitals.close()
            return
        self._watcher = Watcher(found, self._clock)
        self._due_ns = 0
        if old is not None:
            old.close()

    def _text(self) -> bytes:
        if self._watcher is None:
            trouble = self._trouble or CardanError("no run is active", hint="start one with `cardan up`")
            return msgspec.json.encode(nothing(trouble.message, trouble.hint or ""))
        try:
            return msgspec.json.encode(self._watcher.document(self.dropped))
        except CardanError as error:
            return msgspec.json.encode(nothing(error.message, error.hint or ""))

    def _tell(self, text: bytes) -> None:
        with self._lock:
            viewers = list(self._viewers)
        for viewer in viewers:
            if not viewer.offer(text):
                self.drop(viewer)
