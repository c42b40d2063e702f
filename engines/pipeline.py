"""One run on the accelerator at a time, and where it works by itself, the next one filled meanwhile.

stage   a frame is read into the inputs of its network
start   the accelerator has it; nothing can take it back
finish  its outputs are there and have been checked
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.loaded import Loaded
from cardan.engines.schedule import Drop, Job, Scheduler
from cardan.engines.watchdog import Watchdog
from cardan.runtime.clock import Clock

LEAST_HANG_NS = 60_000_000
HANG_FACTOR = 8


class Lane(Protocol):
    """What a job belongs to."""

    @property
    def loaded(self) -> Loaded:
        """The network that runs it."""

    def fill(self) -> str | None:
        """Read the frame into the inputs of the network; what went wrong, or None."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one job."""

    job: Job
    loaded: Loaded
    """The network that ran it."""
    start_ns: int
    """0 when nothing was run."""
    end_ns: int
    problem: str | None
    """What was wrong with the frame, the run or its outputs; None: they are data."""


class Pipeline:
    """Runs the jobs that a scheduler picks. Belongs to the host's thread.

    lanes: by name, as the scheduler names its engines. lose: called when the accelerator is lost; ends the process.
    hang_ns: how long a run may take; None: 8 times the engine's 99th percentile, 60 ms at least.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        lanes: Mapping[str, Lane],
        clock: Clock,
        watchdog: Watchdog,
        lose: Callable[[str], None],
        hang_ns: int | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._lanes = lanes
        self._clock = clock
        self._watchdog = watchdog
        self._lose = lose
        self._hang_limit_ns = hang_ns
        self._running: tuple[Job, Loaded, int, str | None] | None = None
        self._outcomes: list[Outcome] = []

    @property
    def busy(self) -> bool:
        """True while a run is under way."""
        return self._running is not None

    def step(self) -> list[Outcome]:
        """Let at most one run come to its end; what has become of jobs meanwhile. Blocks for as long as the run."""
        if self._running is None:
            self._start(self._stage_or_none())
        if self._running is not None:
            staged = self._stage_or_none() if self._scheduler.in_flight > 1 else None
            self._finish(staged)
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _stage_or_none(self) -> Job | None:
        while (job := self._scheduler.start_or_none(self._clock.now_ns())) is not None:
            problem = self._lanes[job.engine].fill()
            if problem is None:
                return job
            self._scheduler.fail(job, Drop.LOST)
            self._outcomes.append(Outcome(job, self._lanes[job.engine].loaded, 0, self._clock.now_ns(), problem))
        return None

    def _start(self, job: Job | None) -> None:
        if job is None:
            return
        loaded, problem, start_ns = self._lanes[job.engine].loaded, None, self._clock.now_ns()
        self._watchdog.begin(job.engine, self._hang_ns(job.engine))
        try:
            loaded.session.start()
        except StickyError as error:
            self._lose(error.message)
            problem = error.message
        except BackendError as error:
            problem = error.message
        self._running = (job, loaded, start_ns, problem)

    def _finish(self, staged: Job | None) -> None:
        """Wait for the run, and hand the staged job over before anybody looks at the outputs of the first."""
        if self._running is None:
            return
        job, loaded, start_ns, problem = self._running
        problem = problem or self._wait(loaded)
        end_ns = self._clock.now_ns()
        self._watchdog.end()
        self._running = None
        self._scheduler.finish(job, end_ns - start_ns, end_ns)
        self._start(staged)
        self._outcomes.append(Outcome(job, loaded, start_ns, end_ns, problem or loaded.problem_or_none()))

    def _wait(self, loaded: Loaded) -> str | None:
        try:
            loaded.session.finish()
        except StickyError as error:
            self._lose(error.message)
            return error.message
        except BackendError as error:
            return error.message
        return None

    def _hang_ns(self, engine: str) -> int:
        return self._hang_limit_ns or max(LEAST_HANG_NS, HANG_FACTOR * self._scheduler.estimate_ns(engine))
