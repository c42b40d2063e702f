"""Which engine runs next: newest frame only, earliest deadline first, and nothing that cannot be done in time.

Pure logic on the time it is given. Each engine has a slot for one frame; a newer frame replaces it. An accelerator
cannot be interrupted (an enqueued kernel runs to its end), so everything is decided before a run starts: of the waiting
frames, taken by deadline, one is admitted when it ends in time, itself taking its usual time (the running median) and
those before it the longest that they may (the running 99th percentile). When not all can, the least critical make room,
and among equals the longest. One that makes room keeps its place until its deadline cannot be met any more: runs are
mostly shorter than was reckoned with, and then its turn may still come.

And nothing is begun that would stand in the way of a more critical frame: one that waits, or the next one, which is
known to come, as frames come periodically. The accelerator then rests for a moment.

Earliest deadline first is optimal below full load and collapses above it (C. L. Liu, J. W. Layland, "Scheduling
Algorithms for Multiprogramming in a Hard-Real-Time Environment", Journal of the ACM 20, 1973; on overload: G. Buttazzo,
"Hard Real-Time Computing Systems", chapter 9); deciding before the launch from predicted run times is the idea of
Clockwork (A. Gujarati et al., OSDI 2020).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from operator import attrgetter, itemgetter

import msgspec

from cardan.engines.run_times import RunTimes

NEVER_NS = 1 << 62
OVERDUE_NS = 5_000_000
"""A frame that is later than this after its capture is not waited for."""


class Criticality(IntEnum):
    """Who makes room when not everything can be done in time: the lowest first."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


class Drop(Enum):
    """Why a frame was not run to a result."""

    SUPERSEDED = "superseded"
    """Another frame of the same engine took its place: the newer one, or with `keep_older` the older one."""
    LATE = "late"
    """Its deadline could not be met any more when its turn came."""
    SHED = "shed"
    """It made room for more critical engines, or could not be done beside the others."""
    LOST = "lost"
    """It was chosen, and then could not be run: overwritten, or the engine failed."""
    CLOSED = "closed"
    """The host closed while it was waiting or running."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What one engine asks for."""

    name: str
    deadline_ns: int
    """From the capture of a frame to its result."""
    criticality: Criticality = Criticality.MEDIUM
    expected_ns: int
    """A run, until runs have been measured."""
    period_ns: int = 0
    """Between two frames; 0: not known, so no frame is reckoned with before it comes."""
    keep_older: bool = False
    """A frame that waits is kept, and the newer one gives way."""
    run_late: bool = False
    """What cannot end in time is run all the same, when nothing else waits that can."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """One frame of one engine that waits or runs."""

    engine: str
    number: int
    """Counts the frames of the engine."""
    due_ns: int


_Frame = tuple[int, int, int]
"""Arrival, deadline, longest run."""
_FRAME_DUE = itemgetter(1)
_DUE = attrgetter("due_ns")


@dataclass
class Account:
    """What became of every frame of one engine: released = done + late + dropped + open, at any time."""

    released: int = 0
    done: int = 0
    """Ended by their deadlines."""
    late: int = 0
    dropped: dict[Drop, int] = field(default_factory=lambda: dict.fromkeys(Drop, 0))

    @property
    def given_up(self) -> int:
        """Dropped, for whatever reason."""
        return sum(self.dropped.values())

    @property
    def open(self) -> int:
        """Waiting or running: no more than one waits, and no more than the scheduler's `in_flight` run."""
        return self.released - self.done - self.late - self.given_up


class _Slot:
    """One engine: its frame that waits, if any, and its numbers."""

    __slots__ = (
        "account", "cost_ns", "criticality", "demand", "due_ns", "in_flight", "origin_ns", "passed_over", "times",
        "waiting",
    )  # fmt: skip

    def __init__(self, demand: Demand, margin_ns: int) -> None:
        self.demand = demand
        self.criticality = int(demand.criticality)
        self.account = Account()
        self.times = RunTimes(demand.expected_ns)
        self.cost_ns = demand.expected_ns + margin_ns
        """What its next run is expected to take at most, with what stands around it."""
        self.waiting: Job | None = None
        self.due_ns = 0
        """Of the frame that waits."""
        self.passed_over = False
        self.in_flight = False
        self.origin_ns: int | None = None
        """Capture of the newest frame."""

    def drop(self, reason: Drop) -> None:
        self.waiting = None
        self.passed_over = False
        self.account.dropped[reason] += 1


class Scheduler:
    """Decides for one accelerator. Not thread-safe: it belongs to the host's only thread.

    in_flight: 1 when runs block; 2 when one may be staged behind the running one. margin_ns: added to each estimate for
    what stands around a run (reading the frame, checking, publishing).
    """

    def __init__(self, demands: Iterable[Demand], *, in_flight: int = 1, margin_ns: int = 0) -> None:
        self._slots = {demand.name: _Slot(demand, margin_ns) for demand in demands}
        self.in_flight = in_flight
        self._margin_ns = margin_ns
        self._running: list[tuple[Job, int]] = []
        self._holds = False

    def account(self, engine: str) -> Account:
        """What became of the frames of an engine."""
        return self._slots[engine].account

    def estimate_ns(self, engine: str) -> int:
        """What its next run is expected to take at most."""
        return self._slots[engine].times.estimate_ns

    def is_waiting(self, engine: str) -> bool:
        """True while a frame of this engine waits for its turn."""
        return self._slots[engine].waiting is not None

    def is_in_flight(self, engine: str) -> bool:
        """True from the start of a job of this engine to its end: its buffers are in use."""
        return self._slots[engine].in_flight

    @property
    def waits(self) -> bool:
        """True while a frame waits that may be started as soon as there is room for it.

        Not while everything that waits was held back for a more critical frame that is about to come.
        """
        if self._holds:
            return False
        for slot in self._slots.values():  # noqa: SIM110 - asked after every run, and `any` takes four times as long
            if slot.waiting is not None:
                return True
        return False

    def add(self, demand: Demand) -> None:
        """Take in one more engine."""
        self._slots[demand.name] = _Slot(demand, self._margin_ns)

    def remove(self, engine: str) -> None:
        """Forget an engine that has nothing in flight, with its account and what waits of it."""
        del self._slots[engine]

    def forget_times(self, engine: str, expected_ns: int) -> None:
        """Another network runs under this name from now on."""
        slot = self._slots[engine]
        slot.times, slot.cost_ns = RunTimes(expected_ns), expected_ns + self._margin_ns

    def release(self, engine: str, origin_ns: int, frames: int = 1) -> Job:
        """A new frame has arrived, captured at `origin_ns`; what waits now: it, or the older one that is kept.

        frames: how many came since the last call; only the newest of them is to be had.
        """
        slot = self._slots[engine]
        slot.account.released += frames
        slot.origin_ns = origin_ns
        if slot.waiting is not None and slot.demand.keep_older:
            slot.account.dropped[Drop.SUPERSEDED] += frames
            return slot.waiting
        if slot.waiting is not None:
            slot.drop(Drop.SUPERSEDED)
        if frames > 1:
            slot.account.dropped[Drop.SUPERSEDED] += frames - 1
        slot.due_ns = origin_ns + slot.demand.deadline_ns
        slot.waiting = Job(engine, slot.account.released, slot.due_ns)
        slot.passed_over = False
        return slot.waiting

    def start_or_none(self, now_ns: int) -> Job | None:
        """The frame to run now, or None: nothing waits, nothing can be done in time, or enough is in flight.

        The caller owes `finish` or `fail` for it. An engine is in flight once at most: its buffers are in use.
        """
        self._holds = False
        if len(self._running) >= self.in_flight:
            return None
        free_ns = now_ns
        for job, started_ns in self._running:
            free_ns = max(free_ns, started_ns) + self._slots[job.engine].cost_ns
        slot = self._choose_or_none(free_ns)
        if slot is None or slot.waiting is None:
            return None
        job, slot.waiting, slot.passed_over, slot.in_flight = slot.waiting, None, False, True
        self._running.append((job, now_ns))
        return job

    def finish(self, job: Job, run_ns: int, now_ns: int) -> bool:
        """The run has ended with a result at `now_ns` and took `run_ns`; True when that was in time."""
        slot = self._end(job)
        slot.times.add(run_ns)
        slot.cost_ns = slot.times.estimate_ns + self._margin_ns
        in_time = now_ns <= job.due_ns
        if in_time:
            slot.account.done += 1
        else:
            slot.account.late += 1
        return in_time

    def fail(self, job: Job, reason: Drop = Drop.LOST) -> None:
        """The run did not happen, or gave nothing."""
        self._end(job).account.dropped[reason] += 1

    def close(self) -> None:
        """Account for what waits or runs: it comes to nothing."""
        for job, _ in list(self._running):
            self.fail(job, Drop.CLOSED)
        for slot in self._slots.values():
            if slot.waiting is not None:
                slot.drop(Drop.CLOSED)

    def _end(self, job: Job) -> _Slot:
        self._running = [item for item in self._running if item[0] is not job]
        slot = self._slots[job.engine]
        slot.in_flight = False
        return slot

    def _choose_or_none(self, free_ns: int) -> _Slot | None:
        """The admitted frame with the earliest deadline; drops those whose deadlines cannot be met any more.

        Each is expected to take its usual time itself, and those before it the longest that they may.
        """
        admitted: list[_Slot] = []
        before_ns = free_ns + self._margin_ns
        for slot in sorted(self._waiting(before_ns), key=_DUE):
            while before_ns + slot.times.typical_ns > slot.due_ns:
                out = min((*admitted, slot), key=_rank)
                out.passed_over = True
                if out is slot:
                    break
                admitted.remove(out)
                before_ns -= out.cost_ns
            else:
                admitted.append(slot)
                before_ns += slot.cost_ns
        free = self._free_or_none(admitted, free_ns)
        self._holds = free is None and bool(admitted)
        return free or min(self._late(free_ns), key=_DUE, default=None)

    def _waiting(self, begin_ns: int) -> list[_Slot]:
        """The frames that may end in time when they begin then; drops the others, unless they are run late."""
        found = []
        for slot in self._slots.values():
            if slot.waiting is None or slot.in_flight:
                continue
            if begin_ns + slot.times.typical_ns <= slot.due_ns:
                found.append(slot)
            elif not slot.demand.run_late:
                slot.drop(Drop.SHED if slot.passed_over else Drop.LATE)
        return found

    def _late(self, free_ns: int) -> list[_Slot]:
        """Those that are run although they cannot end in time."""
        begin_ns = free_ns + self._margin_ns
        return [
            slot
            for slot in self._slots.values()
            if slot.waiting is not None and not slot.in_flight and begin_ns + slot.times.typical_ns > slot.due_ns
        ]

    def _free_or_none(self, admitted: list[_Slot], free_ns: int) -> _Slot | None:
        """The first that stands in the way of no more critical frame, of those that wait and those that will come."""
        above: dict[int, _Above] = {}
        for slot in admitted:
            frames = above.get(slot.criticality)
            if frames is None:
                frames = above[slot.criticality] = _Above(self._frames_above(slot.criticality, free_ns), free_ns)
            if frames.end_in_time(free_ns + slot.cost_ns):
                return slot
        return None

    def _frames_above(self, criticality: int, now_ns: int) -> list[_Frame]:
        found = []
        for slot in self._slots.values():
            if slot.criticality <= criticality:
                continue
            if slot.waiting is not None:
                found.append((now_ns, slot.due_ns, slot.cost_ns))
            demand = slot.demand
            if slot.origin_ns is None or not demand.period_ns:
                continue
            next_ns = slot.origin_ns + demand.period_ns
            if now_ns < next_ns + OVERDUE_NS:
                found.append((next_ns, next_ns + demand.deadline_ns, slot.cost_ns))
        return found


class _Above:
    """The frames that are more critical than one which may be begun at `now_ns`."""

    def __init__(self, frames: list[_Frame], now_ns: int) -> None:
        self._to_come = [] if all(arrival_ns <= now_ns for arrival_ns, _, _ in frames) else frames
        self._slack_ns = _slack_in_any_order_ns(frames) if self._to_come else _slack_ns(frames)

    def end_in_time(self, begin_ns: int) -> bool:
        """Whether they all do, when they are begun with at `begin_ns`."""
        return begin_ns <= self._slack_ns or (bool(self._to_come) and _all_end_in_time(self._to_come, begin_ns))


def _slack_ns(frames: list[_Frame]) -> int:
    """Until when frames that all wait may be begun with, the earliest deadline first."""
    latest_ns, cost_ns = NEVER_NS, 0
    for _, due_ns, run_ns in sorted(frames, key=_FRAME_DUE):
        cost_ns += run_ns
        latest_ns = min(latest_ns, due_ns - cost_ns)
    return latest_ns


def _slack_in_any_order_ns(frames: list[_Frame]) -> int:
    """Until when these frames may be begun with and end in time in any order: the usual case, found at once."""
    return min(due_ns for _, due_ns, _ in frames) - sum(cost_ns for _, _, cost_ns in frames)


def _all_end_in_time(frames: list[_Frame], free_ns: int) -> bool:
    """Whether these frames are done in time by earliest deadline first, from `free_ns` on."""
    coming = sorted(frames)
    waiting: list[tuple[int, int]] = []
    while coming or waiting:
        if not waiting:
            free_ns = max(free_ns, coming[0][0])
        while coming and coming[0][0] <= free_ns:
            _, due_ns, cost_ns = coming.pop(0)
            insort(waiting, (due_ns, cost_ns))
        due_ns, cost_ns = waiting.pop(0)
        free_ns += cost_ns
        if free_ns > due_ns:
            return False
    return True


def _rank(slot: _Slot) -> tuple[int, int]:
    """The first to make room has the lowest."""
    return slot.criticality, -slot.times.estimate_ns
