"""Budgets: never more than a day's bytes, whatever the process, the computer and its clock do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import FakeClock
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.budget import FILE_NAME, Budgets, Ledger

DAY_S = 86_400.0
TREND, BULK = RecordClass.TREND, RecordClass.BULK
BUDGETS: Budgets = {"mobile": {"trend": 1_000_000, "bulk": 0}}


def opened(folder: Path, clock: FakeClock, budgets: Budgets = BUDGETS) -> Ledger:
    ledger = Ledger(folder, budgets, clock)
    ledger.open()
    return ledger


def test_a_day_has_its_bytes_and_no_more(tmp_path: Path) -> None:
    ledger = opened(tmp_path, FakeClock())
    assert ledger.left_or_none("mobile", TREND) == 1_000_000
    assert [ledger.spend("mobile", TREND, 400_000) for _ in range(3)] == [True, True, False]
    assert ledger.spend("mobile", TREND, 200_000)
    assert not ledger.spend("mobile", TREND, 1)
    assert not ledger.spend("mobile", BULK, 1)


def test_what_is_not_listed_has_no_limit(tmp_path: Path) -> None:
    ledger = opened(tmp_path, FakeClock())
    assert ledger.left_or_none("wifi", TREND) is None
    assert ledger.spend("wifi", TREND, 10**12)
    assert ledger.spend("mobile", RecordClass.CRITICAL, 10**12)
    assert not (tmp_path / "none").exists()
    opened(tmp_path / "none", FakeClock(), {})
    assert not (tmp_path / "none" / FILE_NAME).exists()


def test_it_fills_up_evenly(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = opened(tmp_path, clock)
    ledger.spend("mobile", TREND, 1_000_000)
    assert ledger.refill_s("mobile", TREND, 500_000) == DAY_S / 2
    assert ledger.refill_s("mobile", TREND, 2_000_000) == float("inf")
    clock.advance_s(DAY_S / 2)
    assert ledger.left_or_none("mobile", TREND) == 500_000
    assert ledger.refill_s("mobile", TREND, 500_000) == 0
    clock.advance_s(10 * DAY_S)
    assert ledger.left_or_none("mobile", TREND) == 1_000_000


def test_a_kill_gives_nothing_back(tmp_path: Path) -> None:
    clock = FakeClock()
    assert opened(tmp_path, clock).spend("mobile", TREND, 900_000)
    left = opened(tmp_path, clock).left_or_none("mobile", TREND)
    assert left is not None and left <= 100_000
    spent = 0
    for _ in range(100):
        spent += opened(tmp_path, clock).spend("mobile", TREND, 10_000)
    assert spent <= 10


def test_a_night_in_the_garage_counts(tmp_path: Path) -> None:
    clock = FakeClock()
    opened(tmp_path, clock).spend("mobile", TREND, 1_000_000)
    after = FakeClock(start_ns=5)
    after.jump_wall_s((clock.wall_ns() - after.wall_ns()) / 1e9 + DAY_S / 4)
    assert opened(tmp_path, after).left_or_none("mobile", TREND) == 250_000


def test_a_clock_that_jumps_gives_nothing_while_it_runs_and_a_day_at_most_at_a_start(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = opened(tmp_path, clock)
    ledger.spend("mobile", TREND, 1_000_000)
    for _ in range(100):
        clock.jump_wall_s(3600)
        assert not ledger.spend("mobile", TREND, 1)
    clock.jump_wall_s(-20 * 365 * DAY_S)
    assert opened(tmp_path, clock).left_or_none("mobile", TREND) == 0
    clock.jump_wall_s(22 * 365 * DAY_S)
    assert opened(tmp_path, clock).left_or_none("mobile", TREND) == 1_000_000


def test_a_damaged_file_is_a_new_beginning(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\0" * 100)
    assert opened(tmp_path, FakeClock()).left_or_none("mobile", TREND) == 1_000_000


def test_a_smaller_budget_holds_at_once(tmp_path: Path) -> None:
    clock = FakeClock()
    opened(tmp_path, clock)
    assert opened(tmp_path, clock, {"mobile": {"trend": 10}}).left_or_none("mobile", TREND) == 10


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 300_000)), max_size=40))
def test_no_window_of_a_day_has_more_than_two_buckets(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    clock = FakeClock()
    folder = tmp_path_factory.mktemp("budget")
    ledger = opened(folder, clock)
    start_ns, spent = clock.now_ns(), 0
    for pause_s, count in steps:
        clock.advance_s(pause_s)
        spent += count if ledger.spend("mobile", TREND, count) else 0
    elapsed_s = (clock.now_ns() - start_ns) / 1e9
    assert spent <= 1_000_000 * (1 + elapsed_s / DAY_S)
