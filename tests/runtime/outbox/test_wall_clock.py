"""The wall clock: written down whenever it moves, and put right afterwards."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import NS_PER_S, FakeClock
from cardan.runtime.kernel_clock import STA_UNSYNC, STATUS_AT, TIMEX_BYTES, error_s_or_none, read_timex
from cardan.runtime.outbox.segment import ClockQuality
from cardan.runtime.outbox.wall_clock import ClockReading, Corrections, WallWatch


class Kernel:
    """Says what it is told to."""

    def __init__(self) -> None:
        self.kept = False

    def __call__(self) -> bytes:
        timex = bytearray(TIMEX_BYTES)
        timex[STATUS_AT] = 0 if self.kept else STA_UNSYNC
        return bytes(timex)


def test_a_clock_that_runs_is_written_down_once_an_hour() -> None:
    clock = FakeClock()
    watch = WallWatch(clock, "b", Kernel())
    readings = 0
    for _ in range(2 * 3600 + 10):
        readings += watch.news_or_none(watch.stamp()) is not None
        clock.advance_s(1.0)
    assert readings == 3


def test_a_jump_and_a_change_of_quality_are_written_down() -> None:
    clock, kernel = FakeClock(), Kernel()
    watch = WallWatch(clock, "b", kernel)
    first = watch.news_or_none(watch.stamp())
    assert first is not None and (first.quality, first.moved_ns) == ("free", 0)
    clock.advance_s(2.0)
    clock.jump_wall_s(-20 * 365 * 86400.0)
    back = watch.news_or_none(watch.stamp())
    assert back is not None and back.quality == "unset"
    assert back.moved_ns == -20 * 365 * 86400 * NS_PER_S
    clock.advance_s(2.0)
    clock.jump_wall_s(22 * 365 * 86400.0)
    kernel.kept = True
    kept = watch.news_or_none(watch.stamp())
    assert kept is not None and kept.quality == "kept"
    clock.advance_s(2.0)
    assert watch.news_or_none(watch.stamp()) is None


def test_a_clock_that_jumps_all_the_time_costs_one_record_a_second() -> None:
    clock = FakeClock()
    watch = WallWatch(clock, "b", Kernel())
    readings = 0
    for _ in range(1000):
        clock.advance_s(0.01)
        clock.jump_wall_s(3600.0)
        readings += watch.news_or_none(watch.stamp()) is not None
    assert readings == 10


def test_the_kernel_answers() -> None:
    error_s = error_s_or_none(read_timex())
    assert error_s is None or error_s >= 0


@given(st.integers(0, 10**15), st.lists(st.tuples(st.integers(0, 10**15), st.sampled_from(["unset", "free", "kept"]))))
def test_every_moment_of_a_boot_gets_the_time_of_its_best_reading(
    mono_ns: int, readings: list[tuple[int, str]]
) -> None:
    right = {"kept": 10**18, "free": 10**18 + 5 * NS_PER_S, "unset": 0}
    rows = [
        ClockReading(boot="b", mono_ns=at_ns, wall_ns=right[quality] + at_ns, quality=quality)
        for at_ns, quality in readings
    ]
    found = Corrections(rows).wall_ns_or_none("b", mono_ns)
    qualities = {quality for _, quality in readings}
    best = next((quality for quality in ("kept", "free", "unset") if quality in qualities), None)
    if best is None:
        assert found is None
    else:
        assert found == (right[best] + mono_ns, ClockQuality[best.upper()])
    assert Corrections(rows).wall_ns_or_none("another", mono_ns) is None


def test_a_reading_of_an_unknown_quality_ranks_lowest(tmp_path: Path) -> None:
    assert ClockReading(boot="b", mono_ns=0, wall_ns=0, quality="excellent").rank == ClockQuality.UNSET
