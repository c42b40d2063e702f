"""Durations and how they spread: from single values, and as a person reads them."""

from __future__ import annotations

from cardan.runtime.cli import units
from cardan.runtime.cli.summary import Jitter


def jitter_of(durations_ns: list[int]) -> Jitter | None:
    """Median, 99th percentile and maximum in milliseconds; None of nothing."""
    if not durations_ns:
        return None
    ordered = sorted(durations_ns)
    p50, p99 = (ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] for fraction in (0.5, 0.99))
    return Jitter(p50=round(p50 / 1e6, 4), p99=round(p99 / 1e6, 4), max=round(ordered[-1] / 1e6, 4))


def spread_cells(spread: Jitter | None) -> tuple[str, str, str]:
    """Median, 99th percentile and maximum; dashes where nothing was measured."""
    if spread is None:
        return (units.NOTHING,) * 3
    return units.latency(spread.p50), units.latency(spread.p99), units.latency(spread.max)


def spread_text(spread: Jitter | None) -> str:
    """`p50 4.0 us, p99 38 us, max 1.70 ms`."""
    p50, p99, highest = spread_cells(spread)
    return f"p50 {p50}, p99 {p99}, max {highest}"
