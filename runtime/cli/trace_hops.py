"""How long a frame takes on its way to the actuators, hop by hop: over the whole run, and frame by frame."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.cli.spread import Bar, bars_of, counts_of, jitter_of
from cardan.runtime.cli.summary import MS_PER_UNIT, Jitter, spread_ms
from cardan.runtime.cli.trace_data import Sent
from cardan.runtime.cli.trace_path import publisher_of
from cardan.runtime.vitals import SeriesKind


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One topic on the way: what came before it was sent, over the whole run, from the vitals."""

    topic: str
    arrival_ms: Jitter | None
    """Of the topic before it: from sending to arrival at this topic's publisher. None at the source."""
    step_ms: Jitter | None
    """How long a step of the publisher takes."""
    since_capture_ms: Jitter | None
    """How old the capture was when this topic was sent."""
    since_capture_histogram: list[Bar]


class FrameHop(msgspec.Struct, frozen=True, kw_only=True):
    """One topic on the way: from the sending of the one before it to its own, of the frames that were followed."""

    topic: str
    ms: Jitter | None
    """At the source from the capture."""
    histogram: list[Bar]


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """One frame whose whole way was seen."""

    origin_ns: int
    sent_ns: list[int]
    """When the first message that goes back to it was sent, for each topic on the way."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way from a sensor to the actuators."""

    topics: list[str]
    hops: list[Hop]
    frames: int
    """How many were followed from end to end."""
    frame_hops: list[FrameHop]
    total_ms: Jitter | None
    """From capture to the last topic, of those frames."""
    total_histogram: list[Bar]


def way_of(shot: Snapshot, topics: list[str], followed: list[Followed]) -> Way:
    """One way, over the whole run and over the frames that were followed."""
    totals_ns = [frame.sent_ns[-1] - frame.origin_ns for frame in followed]
    return Way(
        topics=topics,
        hops=[_hop(shot, topic, before) for topic, before in zip(topics, ["", *topics], strict=False)],
        frames=len(followed),
        frame_hops=[
            _frame_hop(topic, [_hop_ns(frame, place) for frame in followed]) for place, topic in enumerate(topics)
        ],
        total_ms=jitter_of(totals_ns),
        total_histogram=bars_of(counts_of(totals_ns)),
    )


def _frame_hop(topic: str, durations_ns: list[int]) -> FrameHop:
    return FrameHop(topic=topic, ms=jitter_of(durations_ns), histogram=bars_of(counts_of(durations_ns)))


def _hop(shot: Snapshot, topic: str, before: str) -> Hop:
    node = next(node for node in shot.nodes if node.plan.name == publisher_of(topic))
    arrivals = [series for series in node.of_kind(SeriesKind.INPUT) if series.plan.topic == before]
    sent = next(series for series in node.of_kind(SeriesKind.OUTPUT) if series.plan.topic == topic)
    nanosecond = MS_PER_UNIT["ns"]
    return Hop(
        topic=topic,
        arrival_ms=spread_ms(arrivals[0].spread, nanosecond) if arrivals else None,
        step_ms=spread_ms(node.step_time, nanosecond),
        since_capture_ms=spread_ms(sent.spread, nanosecond),
        since_capture_histogram=bars_of(sent.spread.counts),
    )


def _hop_ns(frame: Followed, place: int) -> int:
    before_ns = frame.sent_ns[place - 1] if place else frame.origin_ns
    return frame.sent_ns[place] - before_ns


def follow(topics: list[str], messages: dict[str, list[Sent]]) -> list[Followed]:
    """The frames that can be followed from the first of `topics` to the last, by the origin that each message names.

    Control sends several commands from one picture: the first message of each topic counts. A frame that was
    overtaken on its way led to nothing and is not among them.
    """
    first = [_first_by_origin(messages.get(topic, [])) for topic in topics]
    if not first:
        return []
    followed = []
    for origin_ns in sorted(first[-1]):
        sent_ns = [known[origin_ns] for known in first if origin_ns in known]
        if len(sent_ns) == len(first) and [origin_ns, *sent_ns] == sorted([origin_ns, *sent_ns]):
            followed.append(Followed(origin_ns=origin_ns, sent_ns=sent_ns))
    return followed


def _first_by_origin(messages: list[Sent]) -> dict[int, int]:
    first: dict[int, int] = {}
    for message in messages:
        first[message.origin_ns] = min(message.sent_ns, first.get(message.origin_ns, message.sent_ns))
    return first
