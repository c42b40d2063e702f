from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cardan.engines.watchdog import Watchdog
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


@pytest.fixture
def watchdog(clock: FakeClock, hangs: Hangs) -> Iterator[Watchdog]:
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
    assert [engine for engine, _ in hangs.found] == ["road"]
    assert hangs.found[0][1] == pytest.approx(100.0, abs=15.0)  # less what this thread has really waited for a core


def test_a_run_that_has_ended_is_none(watchdog: Watchdog, clock: FakeClock, hangs: Hangs) -> None:
    watchdog.begin("road", LIMIT_NS)
    watchdog.look(clock.now_ns())
    watchdog.end()
    clock.advance_s(9.0)
    watchdog.look(clock.now_ns())
    watchdog.begin("road", LIMIT_NS)
    watchdog.look(clock.now_ns())
    assert hangs.found == []


def test_time_without_a_core_does_not_count(
    watchdog: Watchdog, clock: FakeClock, hangs: Hangs, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_ns = 5_000_000
    monkeypatch.setattr(watchdog, "_waited_ns", lambda: waited_ns)
    watchdog.begin("road", LIMIT_NS)
    watchdog.look(clock.now_ns())
    clock.advance_ns(2 * LIMIT_NS)
    waited_ns += LIMIT_NS + 1
    watchdog.look(clock.now_ns())
    assert hangs.found == []
    clock.advance_ns(2)
    watchdog.look(clock.now_ns())
    assert [engine for engine, _ in hangs.found] == ["road"]


def test_it_looks_by_itself_on_a_thread_of_its_own(hangs: Hangs) -> None:
    watchdog = Watchdog(MonotonicClock(), hangs)
    watchdog.start()
    watchdog.begin("road", 1_000_000)
    assert hangs.happened.wait(10.0)
    watchdog.close()
