"""The deadline scheduler of the engine host beside five other policies, in one simulation on virtual time.

A vehicle of ten engines on one accelerator that cannot be interrupted. Run times are lognormal (sigma 0.08), one job
in 200 takes three times as long, frames come up to 1 ms late, each start costs 50 us. A miss is a frame without a
result by its deadline, for whatever reason: late, dropped, superseded. All policies get the same frames and run times.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rows import Row, at_most, exactly

from cardan.engines.schedule import Criticality, Demand, Scheduler

MS = 1_000_000
DISPATCH_NS = 50_000
JITTER_NS = MS
SIGMA = 0.08
OUTLIERS, OUTLIER_FACTOR = 0.005, 3.0
LOW, MEDIUM, HIGH = Criticality


class Engine(NamedTuple):
    """One engine of the simulated vehicle: a frame each period, a median run time before scaling to a load."""

    name: str
    rate_hz: float
    deadline_ms: float
    median_ms: float
    criticality: Criticality
    weight: int
    """Of Triton's rate limiter: how many turns it gets."""


VEHICLE = (
    Engine("aeb", 40, 20, 3.0, HIGH, 4),
    Engine("lane", 20, 50, 4.0, HIGH, 4),
    Engine("objects", 20, 50, 10.0, HIGH, 4),
    Engine("driver", 10, 100, 5.0, MEDIUM, 2),
    Engine("lights", 10, 100, 6.0, MEDIUM, 2),
    *(Engine(f"side{n}", 10, 100, 6.0, LOW, 1) for n in range(4)),
    Engine("freespace", 10, 100, 12.0, LOW, 1),
)


class Frame(NamedTuple):
    """One frame of one engine, with the run time it will need."""

    release_ns: int
    due_ns: int
    run_ns: int
    engine: int


@dataclass
class Missed:
    """Misses by criticality."""

    frames: dict[Criticality, int] = field(default_factory=lambda: dict.fromkeys(Criticality, 0))
    missed: dict[Criticality, int] = field(default_factory=lambda: dict.fromkeys(Criticality, 0))

    def percent(self, *wanted: Criticality) -> float:
        """Of the frames of these criticalities; of all when none is named."""
        keys = wanted or tuple(Criticality)
        return 100 * sum(self.missed[key] for key in keys) / sum(self.frames[key] for key in keys)

    def __add__(self, other: Missed) -> Missed:
        return Missed(
            {key: self.frames[key] + other.frames[key] for key in Criticality},
            {key: self.missed[key] + other.missed[key] for key in Criticality},
        )


def frames_of(vehicle: Sequence[Engine], load: float, seconds: float, seed: int) -> list[Frame]:
    """Every frame of a drive at a share `load` of the accelerator, in the order of arrival."""
    draw = random.Random(seed)
    mean_factor = math.exp(SIGMA**2 / 2) * (1 + OUTLIERS * (OUTLIER_FACTOR - 1))
    scale = load / sum(engine.rate_hz * engine.median_ms / 1000 for engine in vehicle) / mean_factor
    frames = []
    for index, engine in enumerate(vehicle):
        period_ns = 1e9 / engine.rate_hz
        first_ns = draw.uniform(0, period_ns)
        for count in range(int(seconds * engine.rate_hz)):
            captured_ns = round(first_ns + count * period_ns)
            factor = math.exp(draw.gauss(0, SIGMA)) * (OUTLIER_FACTOR if draw.random() < OUTLIERS else 1.0)
            run_ns = round(engine.median_ms * MS * scale * factor)
            release_ns = captured_ns + draw.randrange(JITTER_NS)
            frames.append(Frame(release_ns, captured_ns + round(engine.deadline_ms * MS), run_ns, index))
    return sorted(frames)


class Policy(Protocol):
    """Chooses among waiting frames, on an accelerator that runs one at a time."""

    def add(self, frame: Frame) -> None:
        """A frame has arrived."""

    def pick_or_none(self, now_ns: int) -> Frame | None:
        """The frame to start now; None when there is none."""

    def ended(self, frame: Frame, now_ns: int) -> None:
        """The frame has been run."""


class Queue:
    """Waiting frames in order of arrival, unbounded; the first is next."""

    def __init__(self, vehicle: Sequence[Engine]) -> None:
        self._vehicle = vehicle
        self._waiting: list[Frame] = []

    def add(self, frame: Frame) -> None:
        self._waiting.append(frame)

    def pick_or_none(self, now_ns: int) -> Frame | None:
        if not self._waiting:
            return None
        frame = min(self._waiting, key=self._rank)
        self._waiting.remove(frame)
        return frame

    def ended(self, frame: Frame, now_ns: int) -> None:
        """Nothing to learn."""

    def _rank(self, frame: Frame) -> tuple[float, ...]:
        return (frame.release_ns,)


class Latest(Queue):
    """The same, but a newer frame of an engine replaces the one that waits."""

    def add(self, frame: Frame) -> None:
        self._waiting = [other for other in self._waiting if other.engine != frame.engine]
        self._waiting.append(frame)


class RateMonotonic(Latest):
    """The engine with the shortest period first."""

    def _rank(self, frame: Frame) -> tuple[float, ...]:
        return (-self._vehicle[frame.engine].rate_hz, frame.release_ns)


class EarliestDeadline(Queue):
    """Earliest deadline first and nothing else: what a textbook does."""

    def _rank(self, frame: Frame) -> tuple[float, ...]:
        return (frame.due_ns,)


class TritonTurns(Queue):
    """Triton's rate limiter with one resource, as its documentation has it: models take turns by weight; a request that
    waits longer than its queue policy's time-out, here its deadline, is rejected."""

    def __init__(self, vehicle: Sequence[Engine]) -> None:
        super().__init__(vehicle)
        self._turns = [0.0] * len(vehicle)

    def pick_or_none(self, now_ns: int) -> Frame | None:
        self._waiting = [frame for frame in self._waiting if frame.due_ns > now_ns]
        frame = super().pick_or_none(now_ns)
        if frame is not None:
            self._turns[frame.engine] += 1 / self._vehicle[frame.engine].weight
        return frame

    def _rank(self, frame: Frame) -> tuple[float, ...]:
        return (self._turns[frame.engine], frame.release_ns)


class Ours:
    """The scheduler of the engine host."""

    def __init__(self, vehicle: Sequence[Engine]) -> None:
        self._vehicle = vehicle
        demands = [
            Demand(
                name=engine.name,
                deadline_ns=round(engine.deadline_ms * MS),
                criticality=engine.criticality,
                expected_ns=round(engine.median_ms * MS * 1.2),
                period_ns=round(1e9 / engine.rate_hz),
            )
            for engine in vehicle
        ]
        self.scheduler = Scheduler(demands, margin_ns=DISPATCH_NS)
        self._waiting: dict[str, Frame] = {}

    def add(self, frame: Frame) -> None:
        engine = self._vehicle[frame.engine]
        self._waiting[engine.name] = frame
        self.scheduler.release(engine.name, frame.due_ns - round(engine.deadline_ms * MS))

    def pick_or_none(self, now_ns: int) -> Frame | None:
        self._job = self.scheduler.start_or_none(now_ns)
        return None if self._job is None else self._waiting.pop(self._job.engine)

    def ended(self, frame: Frame, now_ns: int) -> None:
        if self._job is not None:
            self.scheduler.finish(self._job, frame.run_ns, now_ns)

    def unaccounted(self) -> int:
        """Frames that are neither done, late, dropped nor open."""
        self.scheduler.close()
        return sum(self.scheduler.account(engine.name).open for engine in self._vehicle)


def one_at_a_time(frames: Sequence[Frame], vehicle: Sequence[Engine], policy: Policy) -> Missed:
    """The drive under a policy that starts one frame after the other."""
    result, now_ns, at, end_ns = _counted(frames, vehicle), 0, 0, frames[-1].due_ns
    while now_ns <= end_ns:
        while at < len(frames) and frames[at].release_ns <= now_ns:
            policy.add(frames[at])
            at += 1
        frame = policy.pick_or_none(now_ns)
        if frame is None:
            if at == len(frames):
                break
            now_ns = frames[at].release_ns
            continue
        now_ns += DISPATCH_NS + frame.run_ns
        policy.ended(frame, now_ns)
        if now_ns <= frame.due_ns:
            result.missed[vehicle[frame.engine].criticality] -= 1
    return result


def _counted(frames: Sequence[Frame], vehicle: Sequence[Engine]) -> Missed:
    """Every frame counts as missed until its result is there in time."""
    result = Missed()
    for frame in frames:
        result.frames[vehicle[frame.engine].criticality] += 1
        result.missed[vehicle[frame.engine].criticality] += 1
    return result


def all_at_once(frames: Sequence[Frame], vehicle: Sequence[Engine]) -> Missed:
    """Triton's default: every model runs as its requests come, each model one at a time, sharing the accelerator
    ideally. A model's requests queue in order."""
    result, at, now_ns = _counted(frames, vehicle), 0, 0.0
    queues: list[list[Frame]] = [[] for _ in vehicle]
    left: dict[int, float] = {}
    end_ns = frames[-1].due_ns
    while now_ns <= end_ns and (left or at < len(frames)):
        next_release = frames[at].release_ns if at < len(frames) else math.inf
        first = min(left, key=lambda index: left[index]) if left else None
        ends = now_ns + left[first] * len(left) if first is not None else math.inf
        until = min(next_release, ends)
        share = (until - now_ns) / len(left) if left else 0.0
        left = {index: rest - share for index, rest in left.items()}
        now_ns = until
        if first is not None and ends <= next_release:
            done = queues[first].pop(0)
            del left[first]
            result.missed[vehicle[first].criticality] -= now_ns <= done.due_ns
            if queues[first]:
                left[first] = queues[first][0].run_ns + DISPATCH_NS
        else:
            frame = frames[at]
            at += 1
            queues[frame.engine].append(frame)
            left.setdefault(frame.engine, frame.run_ns + DISPATCH_NS)
    return result


Run = Callable[[Sequence[Frame], Sequence[Engine]], Missed]


def policy(make: Callable[[Sequence[Engine]], Policy]) -> Run:
    return lambda frames, vehicle: one_at_a_time(frames, vehicle, make(vehicle))


POLICIES: dict[str, Run] = {
    "ours": policy(Ours),
    "FIFO": policy(Queue),
    "FIFO, latest frame": policy(Latest),
    "rate-monotonic, latest frame": policy(RateMonotonic),
    "EDF alone": policy(EarliestDeadline),
    "Triton, all models at once": all_at_once,
    "Triton, weighted turns and time-out": policy(TritonTurns),
}


def sweep(load: float, seconds: float, seeds: int) -> dict[str, Missed]:
    """Every policy at one load, over several drives."""
    found = dict.fromkeys(POLICIES, Missed())
    for seed in range(seeds):
        frames = frames_of(VEHICLE, load, seconds, seed)
        for name, run in POLICIES.items():
            found[name] = found[name] + run(frames, VEHICLE)
    return found


def unaccounted(load: float, seconds: float) -> int:
    """Frames that our scheduler has lost count of."""
    ours = Ours(VEHICLE)
    one_at_a_time(frames_of(VEHICLE, load, seconds, seed=99), VEHICLE, ours)
    return ours.unaccounted()


def decision_us(count: int) -> float:
    """Processor time of one decision among 16 engines that get a frame every third time, so that 14 wait: 99th
    percentile."""
    demands = [
        Demand(
            name=f"e{n}", deadline_ns=(20 + 5 * n) * MS, criticality=Criticality(n % 3), expected_ns=(1 + n % 5) * MS
        )
        for n in range(16)
    ]
    scheduler, draw, now_ns, taken = Scheduler(demands, margin_ns=DISPATCH_NS), random.Random(1), 0, []
    for _ in range(count):
        for demand in demands:
            if draw.random() < 0.35:
                scheduler.release(demand.name, now_ns)
        begin_ns = time.thread_time_ns()
        job = scheduler.start_or_none(now_ns)
        taken.append(time.thread_time_ns() - begin_ns)
        now_ns += 2 * MS
        if job is not None:
            scheduler.finish(job, 2 * MS, now_ns)
    return sorted(taken)[int(0.99 * count)] / 1e3


def rows(*, quick: bool) -> list[Row]:
    """The figures that the scheduler is held to, and every policy beside it."""
    seconds, seeds = 60.0, 2 if quick else 20
    normal, over = sweep(0.9, seconds, seeds), sweep(1.1, seconds, seeds)
    ours, latest = normal["ours"].percent(), normal["FIFO, latest frame"].percent()
    ratio = ours / latest
    found = [
        Row("simulated misses at 90 % load", ours, "%", "<= 0.2", ours <= 0.2, "FIFO, latest frame", latest, ratio),
        Row("the same, as a share of FIFO with latest frame", ratio, "", "<= 0.05", ratio <= 0.05),
        at_most("simulated misses of high criticality at 110 % load", over["ours"].percent(HIGH), 2.0, "%"),
        at_most("simulated misses at 110 % load", over["ours"].percent(), 10.0, "%"),
        exactly("frames unaccounted for (released - done - late - dropped)", unaccounted(1.1, seconds), 0, "frames"),
        at_most(
            "one decision of the scheduler with 16 engines, p99", decision_us(5_000 if quick else 50_000), 20.0, "us"
        ),
    ]
    for name in POLICIES:
        text = f"misses at 90 %: {normal[name].percent():.3g} %, high criticality {normal[name].percent(HIGH):.3g} %; "
        text += f"at 110 %: {over[name].percent():.3g} %, {over[name].percent(HIGH):.3g} %"
        found.append(Row(f"policy {name}", None, text, "shown", True))
    return found
