"""Frames as a stream that ends: by count, by time, at the end of what was stored, or when their sender is gone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from cardan.drivers.can.candump import LoggedFrame
from cardan.firmware_bridge.cli.can_filter import Wanted
from cardan.firmware_bridge.cli.can_source import FrameSource
from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.clock import NS_PER_S, Clock, ns

WAIT_S = 0.2
QUIET_S = 2.0
"""After so long without a frame, a line on stderr says so."""


@dataclass(frozen=True)
class Limits:
    """When a stream ends by itself; None = never."""

    count: int | None = None
    longest_s: float | None = None


def limits_of(duration: str | None, count: str | None = None) -> Limits:
    """`--for` and `--count`; UsageError for what is no time or number."""
    return Limits(
        parse_count(count, "--count") if count else None,
        parse_duration_s(duration, "--for") if duration else None,
    )


def say(text: str) -> None:
    """One line on stderr, which leaves stdout to the data."""
    write_lines([Line(text, "faint")], sys.stderr)


def no_frame() -> NoDataError:
    """What is said where nothing came."""
    return NoDataError("no frame came", hint="`cardan can health` says why a bus is silent; is --id too narrow?")


def stream(
    source: FrameSource, wanted: Wanted, limits: Limits, clock: Clock, *, quiet: bool = False
) -> Iterator[list[LoggedFrame]]:
    """The wanted frames, batch by batch; an empty batch when a live source was silent for a moment.

    `--for` is time that passes, or of stored frames the time of recording. NoDataError when none came at all. quiet:
    say nothing about a silent bus.
    """
    given, started_ns, warned = 0, clock.now_ns(), quiet or not source.live
    for frames in _live(source, limits, clock) if source.live else _stored(source, limits):
        shown = [logged for logged in frames if wanted(logged)]
        if limits.count is not None:
            shown = shown[: limits.count - given]
        given += len(shown)
        yield shown
        if given == limits.count:
            return
        if not given and not warned and clock.now_ns() - started_ns > ns(QUIET_S):
            warned = True
            say(f"no frame for {QUIET_S:g} s; still waiting")
    if not given:
        raise no_frame()


def _live(source: FrameSource, limits: Limits, clock: Clock) -> Iterator[list[LoggedFrame]]:
    ends_ns = None if limits.longest_s is None else clock.now_ns() + ns(limits.longest_s)
    while True:
        left_s = WAIT_S if ends_ns is None else (ends_ns - clock.now_ns()) / NS_PER_S
        frames = source.take(min(WAIT_S, left_s)) if left_s > 0 else None
        if frames is None:
            return
        yield frames


def _stored(source: FrameSource, limits: Limits) -> Iterator[list[LoggedFrame]]:
    ends_ns: int | None = None
    while (frames := source.take(0.0)) is not None:
        if ends_ns is None and limits.longest_s is not None:
            ends_ns = frames[0].frame.stamp_ns + ns(limits.longest_s)
        if ends_ns is not None and frames[-1].frame.stamp_ns > ends_ns:
            yield [logged for logged in frames if logged.frame.stamp_ns <= ends_ns]
            return
        yield frames
