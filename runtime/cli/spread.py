"""Durations and how they spread: from single values, and as a person reads them."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.summary import Jitter
from cardan.runtime.histogram import BUCKETS, bucket_bounds, bucket_of

COLUMNS = 24
LEVELS = " ▁▂▃▄▅▆▇█"


def jitter_of(durations_ns: list[int]) -> Jitter | None:
    """Median, 99th percentile and maximum in milliseconds; None of nothing."""
    if not durations_ns:
        return None
    ordered = sorted(durations_ns)
    p50, p99 = (ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] for fraction in (0.5, 0.99))
    return Jitter(p50=round(p50 / 1e6, 4), p99=round(p99 / 1e6, 4), max=round(ordered[-1] / 1e6, 4))


class Bar(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One bucket of a histogram: how many durations from `low_ms` on and below `high_ms`."""

    low_ms: float
    high_ms: float
    count: int


def bars_of(counts: list[int]) -> list[Bar]:
    """The buckets in use of a histogram of nanoseconds (cardan.runtime.histogram), and those between them."""
    used = [index for index, count in enumerate(counts) if count]
    bounds = [(index, *bucket_bounds(index)) for index in range(used[0], used[-1] + 1)] if used else []
    return [Bar(low_ms=low / 1e6, high_ms=high / 1e6, count=counts[index]) for index, low, high in bounds]


def counts_of(durations_ns: list[int]) -> list[int]:
    """The histogram of some durations."""
    counts = [0] * BUCKETS
    for duration_ns in durations_ns:
        counts[bucket_of(duration_ns)] += 1
    return counts


def picture(bars: list[Bar]) -> str:
    """A histogram in at most COLUMNS letters, on the logarithmic scale of its buckets."""
    if not bars:
        return ""
    width = -(-len(bars) // COLUMNS)
    sums = [sum(bar.count for bar in bars[at : at + width]) for at in range(0, len(bars), width)]
    return "".join(LEVELS[-(-number * (len(LEVELS) - 1) // max(sums))] for number in sums)


def spread_cells(spread: Jitter | None) -> tuple[str, str, str]:
    """Median, 99th percentile and maximum; dashes where nothing was measured."""
    if spread is None:
        return (units.NOTHING,) * 3
    return units.latency(spread.p50), units.latency(spread.p99), units.latency(spread.max)


def spread_text(spread: Jitter | None) -> str:
    """`p50 4.0 us, p99 38 us, max 1.70 ms`."""
    p50, p99, highest = spread_cells(spread)
    return f"p50 {p50}, p99 {p99}, max {highest}"
