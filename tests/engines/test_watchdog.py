from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cardan.engines.core_time import CoreTime, ThreadWatch
from cardan.engines.watchdog import Watchdog, taken
from cardan.runtime.clock import FakeClock, MonotonicClock

LIMIT_NS = 80_000_000


class Hangs:
    """What a watchdog has reported."""

    def __init__(self) -> None:
        self.found: list[tuple[str, float]] = []
        self.happened = threading.Event()

    def __call__(self, engine: str, taken_ms: float) -> None:
        self.found.append((engine, taken_ms))
        self.happened.set()


@pytest.fixture
def hangs() -> Hangs:
    return Hangs()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Spent:
    """What the kernel says of the watched thread."""

    def __init__(self) -> None:
        self.time = CoreTime(0, 0)
        self.waits = False

    def read(self) -> CoreTime:
        return self.time

    def wants_core(self) -> bool:
        return self.waits

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def spent() -> Spent:
    return Spent()


@pytest.fixture
def watchdog(clock: FakeClock, hangs: Hangs, spent: Spent, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watchdog]:
    monkeypatch.setattr("cardan.engines.watchdog.ThreadWatch", lambda thread: spent)
    watchdog = Watchdog(clock, hangs)
    yield watchdog
    watchdog.close()


def test_a_run_beyond_its_limit_is_a_hang(watchdog: Watchdog, clock: FakeClock, hangs: Hangs) -> None:
    watchdog.begin("road", LIMIT_NS)
    clock.advance_ns(LIMIT_NS)
    watchdog.look(clock.now_ns())
    assert hangs.found == []
    clock.advance_ns(20_000_000)
    watchdog.look(clock.now_ns())
    assert hangs.found == [("road", 100.0)]


def test_a_run_that_has_ended_is_none(watchdog: Watchdog, clock: FakeClock, hangs: Hangs) -> None:
    watchdog.begin("road", LIMIT_NS)
    watchdog.look(clock.now_ns())
    watchdog.end()
    clock.advance_s(9.0)
    watchdog.look(clock.now_ns())
    watchdog.begin("road", LIMIT_NS)
    watchdog.look(clock.now_ns())
    assert hangs.found == []


def test_a_wait_for_a_core_that_is_over_does_not_count(
    watchdog: Watchdog, clock: FakeClock, hangs: Hangs, spent: Spent
) -> None:
    watchdog.begin("road", LIMIT_NS)
    clock.advance_ns(2 * LIMIT_NS)
    spent.time = CoreTime(0, LIMIT_NS + 1)
    watchdog.look(clock.now_ns())
    assert hangs.found == []
    clock.advance_ns(2)
    watchdog.look(clock.now_ns())
    assert [engine for engine, _ in hangs.found] == ["road"]


def test_neither_does_one_that_is_not_over_yet(
    watchdog: Watchdog, clock: FakeClock, hangs: Hangs, spent: Spent
) -> None:
    watchdog.begin("road", LIMIT_NS)
    clock.advance_ns(5 * LIMIT_NS)
    spent.time, spent.waits = CoreTime(LIMIT_NS, 0), True
    watchdog.look(clock.now_ns())
    assert hangs.found == []


def test_a_thread_that_runs_on_and_on_hangs(watchdog: Watchdog, clock: FakeClock, hangs: Hangs, spent: Spent) -> None:
    watchdog.begin("road", LIMIT_NS)
    clock.advance_ns(2 * LIMIT_NS)
    spent.time, spent.waits = CoreTime(LIMIT_NS + 1, 0), True
    watchdog.look(clock.now_ns())
    assert [engine for engine, _ in hangs.found] == ["road"]


def test_where_the_kernel_counts_nothing_all_time_counts() -> None:
    assert taken(7, CoreTime(0, 0), CoreTime(0, 0), wants_core=False) == 7


def test_of_a_thread_whose_times_the_kernel_does_not_count_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardan.engines.core_time._open_or_none", lambda path: None if "schedstat" in path else 0)
    watch = ThreadWatch(threading.get_native_id())
    assert (watch.read(), watch.wants_core()) == (CoreTime(0, 0), False)


def test_a_thread_that_computes_is_seen_on_its_core_and_one_that_sleeps_is_not() -> None:
    go, done, ids = threading.Event(), threading.Event(), list[int]()

    def live() -> None:
        ids.append(threading.get_native_id())
        go.wait()
        while not done.is_set():
            pass

    thread = threading.Thread(target=live)
    thread.start()
    try:
        while not ids:
            done.wait(0.001)
        watch = ThreadWatch(ids[0])
        while watch.wants_core():  # it has not begun to wait yet
            done.wait(0.001)
        before = watch.read()
        go.set()
        while watch.read().ran_ns - before.ran_ns < 5_000_000 or not watch.wants_core():
            done.wait(0.001)
    finally:
        go.set()
        done.set()
        thread.join()
    watch.close()
    assert (watch.read(), watch.wants_core()) == (CoreTime(0, 0), False)


def test_it_looks_by_itself_on_a_thread_of_its_own(hangs: Hangs) -> None:
    watchdog = Watchdog(MonotonicClock(), hangs)
    watchdog.start()
    watchdog.begin("road", 1_000_000)
    assert hangs.happened.wait(10.0)
    watchdog.close()
