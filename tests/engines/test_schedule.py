from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cardan.engines.schedule import Account, Criticality, Demand, Drop, Job, Scheduler

MS = 1_000_000
LOW, MEDIUM, HIGH = Criticality


def demand(name: str, deadline_ms: float, run_ms: float, criticality: Criticality = MEDIUM) -> Demand:
    return Demand(
        name=name, deadline_ns=round(deadline_ms * MS), expected_ns=round(run_ms * MS), criticality=criticality
    )


def chosen(scheduler: Scheduler, now_ms: float = 0.0) -> str | None:
    job = scheduler.start_or_none(round(now_ms * MS))
    return None if job is None else job.engine


def test_the_earliest_deadline_is_first() -> None:
    scheduler = Scheduler([demand("slow", 100, 5), demand("fast", 20, 5)])
    scheduler.release("slow", 0)
    scheduler.release("fast", 0)
    assert chosen(scheduler) == "fast"


def test_a_newer_frame_replaces_the_one_that_waits() -> None:
    scheduler = Scheduler([demand("lane", 50, 5)])
    scheduler.release("lane", 0)
    newest = scheduler.release("lane", 20 * MS)
    assert scheduler.start_or_none(20 * MS) is newest
    assert scheduler.account("lane").dropped[Drop.SUPERSEDED] == 1


def test_frames_that_nobody_saw_in_between_are_accounted_for() -> None:
    scheduler = Scheduler([demand("lane", 50, 5)])
    scheduler.release("lane", 0, frames=4)
    account = scheduler.account("lane")
    assert (account.released, account.dropped[Drop.SUPERSEDED], account.open) == (4, 3, 1)


def test_what_cannot_be_done_in_time_is_not_begun() -> None:
    scheduler = Scheduler([demand("lane", 50, 5)])
    scheduler.release("lane", 0)
    assert chosen(scheduler, 46) is None
    assert scheduler.account("lane").dropped[Drop.LATE] == 1


def test_what_ends_exactly_at_its_deadline_is_begun() -> None:
    scheduler = Scheduler([demand("lane", 50, 5)])
    scheduler.release("lane", 0)
    assert chosen(scheduler, 45) == "lane"


def test_an_engine_may_keep_its_older_frame() -> None:
    scheduler = Scheduler([replace(demand("lane", 50, 5), keep_older=True)])
    oldest = scheduler.release("lane", 0)
    assert scheduler.release("lane", 20 * MS, frames=2) is oldest
    assert scheduler.start_or_none(20 * MS) is oldest
    assert (scheduler.account("lane").released, scheduler.account("lane").dropped[Drop.SUPERSEDED]) == (3, 2)


def test_an_engine_may_run_late_when_nothing_else_waits_that_can_be_in_time() -> None:
    scheduler = Scheduler([replace(demand("lane", 50, 5), run_late=True), demand("side", 200, 5)])
    scheduler.release("lane", 0)
    scheduler.release("side", 0)
    assert chosen(scheduler, 60) == "side"
    scheduler.close()
    scheduler.release("lane", 0)
    assert chosen(scheduler, 60) == "lane"


def test_when_not_all_can_be_done_the_least_critical_makes_room() -> None:
    scheduler = Scheduler([demand("side", 10, 8, LOW), demand("brake", 12, 6, HIGH)])
    scheduler.release("side", 0)
    scheduler.release("brake", 0)
    assert chosen(scheduler) == "brake"


def test_among_equals_the_longest_makes_room() -> None:
    scheduler = Scheduler([demand("long", 10, 8), demand("short", 12, 6)])
    scheduler.release("long", 0)
    scheduler.release("short", 0)
    assert chosen(scheduler) == "short"


def test_nothing_is_begun_that_stands_in_the_way_of_a_critical_frame_to_come() -> None:
    brake = replace(demand("brake", 20, 5, HIGH), period_ns=25 * MS)
    scheduler = Scheduler([brake, demand("side", 200, 18, LOW)])
    scheduler.release("brake", 0)
    job = scheduler.start_or_none(0)
    assert job is not None
    scheduler.finish(job, 5 * MS, 5 * MS)
    scheduler.release("side", 10 * MS)
    assert scheduler.waits
    assert chosen(scheduler, 23) is None  # it would end after 41 ms, and the next brake frame is due at 45
    assert not scheduler.waits
    scheduler.release("brake", 25 * MS)
    assert chosen(scheduler, 25) == "brake"


def test_a_critical_frame_that_does_not_come_is_not_waited_for() -> None:
    brake = replace(demand("brake", 20, 5, HIGH), period_ns=25 * MS)
    scheduler = Scheduler([brake, demand("side", 200, 18, LOW)])
    scheduler.release("brake", 0)
    job = scheduler.start_or_none(0)
    assert job is not None
    scheduler.finish(job, 5 * MS, 5 * MS)
    scheduler.release("side", 10 * MS)
    assert chosen(scheduler, 31) == "side"


def test_one_that_made_room_is_run_after_all_when_time_is_left() -> None:
    scheduler = Scheduler([demand("side", 12, 5, LOW), demand("brake", 12, 9, HIGH)])
    scheduler.release("side", 0)
    scheduler.release("brake", 0)
    job = scheduler.start_or_none(0)
    assert job is not None
    assert scheduler.finish(job, 4 * MS, 4 * MS)  # shorter than expected
    assert chosen(scheduler, 4) == "side"


def test_one_that_made_room_in_vain_is_accounted_for_as_shed() -> None:
    scheduler = Scheduler([demand("side", 12, 5, LOW), demand("brake", 12, 9, HIGH)])
    scheduler.release("side", 0)
    scheduler.release("brake", 0)
    job = scheduler.start_or_none(0)
    assert job is not None
    scheduler.finish(job, 9 * MS, 9 * MS)
    assert chosen(scheduler, 9) is None
    assert scheduler.account("side").dropped[Drop.SHED] == 1


def test_a_result_after_its_deadline_is_late() -> None:
    scheduler = Scheduler([demand("lane", 50, 5)])
    scheduler.release("lane", 0)
    job = scheduler.start_or_none(0)
    assert job is not None
    assert not scheduler.finish(job, 51 * MS, 51 * MS)
    assert (scheduler.account("lane").late, scheduler.account("lane").done) == (1, 0)


@pytest.mark.parametrize(("in_flight", "second"), [(1, None), (2, "b")])
def test_at_most_one_runs_and_one_is_staged(in_flight: int, second: str | None) -> None:
    scheduler = Scheduler([demand(name, 50, 5) for name in "abc"], in_flight=in_flight)
    for name in "abc":
        scheduler.release(name, 0)
    assert chosen(scheduler) == "a"
    assert chosen(scheduler) == second
    assert chosen(scheduler) is None


def test_what_runs_is_reckoned_with_when_another_is_staged() -> None:
    scheduler = Scheduler([demand("long", 50, 20), demand("tight", 22, 5)], in_flight=2)
    scheduler.release("long", 0)
    assert chosen(scheduler) == "long"
    scheduler.release("tight", 1 * MS)
    assert chosen(scheduler, 1) is None
    assert scheduler.account("tight").dropped[Drop.LATE] == 1


def test_closing_accounts_for_what_waits_and_what_runs() -> None:
    scheduler = Scheduler([demand("a", 50, 5), demand("b", 50, 5)])
    scheduler.release("a", 0)
    scheduler.release("b", 0)
    assert chosen(scheduler) is not None
    scheduler.close()
    assert [scheduler.account(name).open for name in "ab"] == [0, 0]
    assert sum(scheduler.account(name).dropped[Drop.CLOSED] for name in "ab") == 2


@dataclass
class Counted:
    """What a test itself has seen of one engine."""

    released: int = 0
    done: int = 0
    late: int = 0
    failed: int = 0
    running: list[Job] = field(default_factory=list)


class Accelerator(RuleBasedStateMachine):
    """Any order of frames, starts, ends and failures, with an oracle that counts for itself."""

    NAMES = ("low", "medium", "high", "other")

    def __init__(self) -> None:
        super().__init__()
        criticality = dict(zip(self.NAMES, (LOW, MEDIUM, HIGH, HIGH), strict=True))
        self.demands = {
            name: demand(name, 20 + 10 * at, 2 + at, criticality[name]) for at, name in enumerate(self.NAMES)
        }
        self.scheduler = Scheduler(self.demands.values(), in_flight=2)
        self.now_ns = 0
        self.seen = {name: Counted() for name in self.NAMES}
        self.newest: dict[str, Job] = {}
        self.started: list[Job] = []

    @rule(by_ms=some.floats(0, 30))
    def time_passes(self, by_ms: float) -> None:
        self.now_ns += round(by_ms * MS)

    @rule(name=some.sampled_from(NAMES), frames=some.integers(1, 3), age_ms=some.floats(0, 10))
    def frames_come(self, name: str, frames: int, age_ms: float) -> None:
        self.newest[name] = self.scheduler.release(name, self.now_ns - round(age_ms * MS), frames)
        self.seen[name].released += frames

    @rule()
    def one_may_start(self) -> None:
        before = {name: self.scheduler.estimate_ns(name) for name in self.NAMES}
        job = self.scheduler.start_or_none(self.now_ns)
        if job is None:
            return
        assert job is self.newest[job.engine], "the newest frame wins"
        assert self.now_ns < job.due_ns, "nothing is begun that cannot end in time"
        assert before[job.engine] > 0
        self.started.append(job)
        assert len(self.started) <= 2

    @precondition(lambda self: self.started)
    @rule(took_ms=some.floats(0, 30))
    def one_ends(self, took_ms: float) -> None:
        job = self.started.pop(0)
        self.now_ns += round(took_ms * MS)
        in_time = self.scheduler.finish(job, round(took_ms * MS), self.now_ns)
        assert in_time == (self.now_ns <= job.due_ns)
        if in_time:
            self.seen[job.engine].done += 1
        else:
            self.seen[job.engine].late += 1

    @precondition(lambda self: self.started)
    @rule()
    def one_fails(self) -> None:
        job = self.started.pop()
        self.scheduler.fail(job)
        self.seen[job.engine].failed += 1

    @invariant()
    def every_frame_is_accounted_for_once(self) -> None:
        for name, seen in self.seen.items():
            account: Account = self.scheduler.account(name)
            assert (account.released, account.done, account.late) == (seen.released, seen.done, seen.late)
            assert account.dropped[Drop.LOST] == seen.failed
            in_flight = sum(job.engine == name for job in self.started)
            assert in_flight <= account.open <= in_flight + 1

    def teardown(self) -> None:
        self.scheduler.close()
        for name, seen in self.seen.items():
            account = self.scheduler.account(name)
            assert account.open == 0
            assert seen.released == account.done + account.late + sum(account.dropped.values())


TestAccelerator = Accelerator.TestCase
TestAccelerator.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@given(
    some.lists(
        some.tuples(some.sampled_from(Criticality), some.integers(1, 40), some.integers(5, 100)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=100)
def test_a_critical_frame_never_makes_room_for_a_lesser_one(engines: list[tuple[Criticality, int, int]]) -> None:
    """With everything waiting at once: when the most critical fit by themselves, all of them are done in time."""
    most = max(criticality for criticality, _, _ in engines)
    scheduler = Scheduler(demand(str(at), due, run, how) for at, (how, run, due) in enumerate(engines))
    alone, fits = 0, True
    for _, run, due in sorted((item for item in engines if item[0] == most), key=lambda item: item[2]):
        alone += run
        fits = fits and alone <= due
    for at in range(len(engines)):
        scheduler.release(str(at), 0)
    now_ns = 0
    while (job := scheduler.start_or_none(now_ns)) is not None:
        run_ns = engines[int(job.engine)][1] * MS
        now_ns += run_ns
        scheduler.finish(job, run_ns, now_ns)
    if fits:
        assert all(scheduler.account(str(at)).done for at, item in enumerate(engines) if item[0] == most)
