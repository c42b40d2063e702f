"""A trace as JSON in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open.

One track for the run (modes, restarts), one for each node: its steps as slices, its messages as instants in them, and
an arrow from each message to the step that took it. A second group shows each frame's way from capture to CAN.

Source of the format: "Trace Event Format" of the Chromium project; what Perfetto makes of it is in its JSON importer
(an arrow starts at the innermost slice that is open on its track, so a message's instant comes before its arrows).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from cardan.runtime.cli.trace_data import Collected, Event, Sent
from cardan.runtime.cli.trace_hops import Followed
from cardan.runtime.cli.trace_path import publisher_of
from cardan.runtime.plan import InputPlan, NodePlan, Plan
from cardan.runtime.step_log import Step

RUN, FRAMES = 1, 2
"""Processes of the trace: the run with its nodes, and the ways of the frames."""
RUN_TRACK = 1
FIRST_NODE_TRACK = 2
MODE, NORMAL = "run-mode", "run-mode-normal"

Row = dict[str, Any]


def trace_json(plan: Plan, run_id: str, collected: Collected, ways: list[tuple[list[str], list[Followed]]]) -> bytes:
    """The whole file. ways: topics from capture to CAN, and the frames that were followed over them."""
    rows = [*_names(plan, run_id, ways), *sorted(_rows(plan, collected, ways), key=lambda row: row["ts"])]
    document = {
        "displayTimeUnit": "ms",
        "otherData": {"vehicle": plan.name, "run": run_id, "monotonic_ns_at_0": str(collected.begin_ns)},
        "traceEvents": rows,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _rows(plan: Plan, collected: Collected, ways: list[tuple[list[str], list[Followed]]]) -> Iterator[Row]:
    """Slices before instants before arrows: those of the same time must stay in this order."""
    zero_ns = collected.begin_ns
    yield from _modes(collected)
    for node in plan.nodes:
        yield from _steps(node, collected)
    for messages in collected.messages.values():
        for message in messages:
            yield _instant(message, track_of(plan, publisher_of(message.topic)), zero_ns)
    for event in collected.events:
        if collected.begin_ns <= event.t_ns <= collected.end_ns:
            yield _event(event, track_of(plan, event.node), zero_ns)
    yield from _arrows(plan, collected)
    for topics, followed in ways:
        yield from _frames(topics, followed, zero_ns)


def track_of(plan: Plan, node: str) -> int:
    """The track of a node; that of the run for a name that is none."""
    names = [known.name for known in plan.nodes]
    return FIRST_NODE_TRACK + names.index(node) if node in names else RUN_TRACK


def _names(plan: Plan, run_id: str, ways: list[tuple[list[str], list[Followed]]]) -> Iterator[Row]:
    yield from _named("process", RUN, RUN_TRACK, f"{plan.name} {run_id}".strip(), 1)
    yield from _named("thread", RUN, RUN_TRACK, "run", 0)
    for node in plan.nodes:
        track = track_of(plan, node.name)
        yield from _named("thread", RUN, track, node.name, track)
    if any(followed for _, followed in ways):
        yield from _named("process", FRAMES, FRAMES, "from capture to CAN", 0)


def _named(what: str, process: int, track: int, name: str, place: int) -> list[Row]:
    base = {"ph": "M", "pid": process, "tid": track, "ts": 0}
    return [
        {**base, "name": f"{what}_name", "args": {"name": name}},
        {**base, "name": f"{what}_sort_index", "args": {"sort_index": place}},
    ]


def _us(time_ns: int, zero_ns: int) -> float:
    """Microseconds since the begin of the trace, to the nanosecond."""
    return (time_ns - zero_ns) / 1000


def _slice(name: str, category: str, track: int, begin_ns: int, end_ns: int, zero_ns: int, **args: Any) -> Row:
    span = {"ts": _us(begin_ns, zero_ns), "dur": (end_ns - begin_ns) / 1000}
    return {"ph": "X", "name": name, "cat": category, "pid": RUN, "tid": track, **span, "args": args}


def _steps(node: NodePlan, collected: Collected) -> Iterator[Row]:
    track = FIRST_NODE_TRACK + node.index
    for step in collected.steps.get(node.name, []):
        yield _slice("step", "step", track, step.start_ns, step.end_ns, collected.begin_ns, number=step.number)
    begun_ns = collected.unfinished.get(node.name)
    if begun_ns is not None:
        name = "step that has not ended"
        yield _slice(name, "step", track, begun_ns, collected.end_ns, collected.begin_ns)


def _modes(collected: Collected) -> Iterator[Row]:
    """Modes as slices on the track of the run, cut to the span of the trace."""
    changes = [event for event in collected.events if event.code in (MODE, NORMAL)]
    ends_ns = [*(event.t_ns for event in changes[1:]), collected.end_ns]
    for event, end_ns in zip(changes, ends_ns, strict=False):
        begin_ns, end_ns = max(event.t_ns, collected.begin_ns), min(end_ns, collected.end_ns)
        if event.code == MODE and begin_ns < end_ns:
            name = str(event.fields.get("mode", "mode"))
            yield _slice(name, "mode", RUN_TRACK, begin_ns, end_ns, collected.begin_ns, why=event.text)


def _instant(message: Sent, track: int, zero_ns: int) -> Row:
    return {
        "ph": "i",
        "s": "t",
        "name": message.topic,
        "cat": "message",
        "pid": RUN,
        "tid": track,
        "ts": _us(message.sent_ns, zero_ns),
        "args": {
            "seq": message.seq,
            "epoch": message.epoch,
            "valid": message.valid,
            "bytes": message.size,
            "origin_age_ms": round((message.sent_ns - message.origin_ns) / 1e6, 3),
        },
    }


def _event(event: Event, track: int, zero_ns: int) -> Row:
    return {
        "ph": "i",
        "s": "t",
        "name": event.code,
        "cat": "supervisor",
        "pid": RUN,
        "tid": track,
        "ts": _us(event.t_ns, zero_ns),
        "args": {"level": event.level, "text": event.text},
    }


def _arrows(plan: Plan, collected: Collected) -> Iterator[Row]:
    number = 0
    for node in plan.nodes:
        steps = collected.steps.get(node.name, [])
        for port in node.inputs:
            for topic in [] if port.many else port.topics:
                for message, step in taken(port, collected.messages.get(topic, []), steps):
                    number += 1
                    yield from _arrow(plan, number, message, node, step, collected.begin_ns)


def taken(port: InputPlan, messages: list[Sent], steps: list[Step]) -> Iterator[tuple[Sent, Step]]:
    """Each message with the step that took it: the first that began after it was sent.

    An input that keeps the newest message gives a step only the last of those that came since the step before.
    """
    starts = [step.start_ns for step in steps]
    places = [bisect_left(starts, message.sent_ns) for message in messages]
    for index, (message, place) in enumerate(zip(messages, places, strict=True)):
        overtaken = not port.queue and index + 1 < len(places) and places[index + 1] == place
        if place < len(steps) and not overtaken:
            yield message, steps[place]


def _arrow(plan: Plan, number: int, message: Sent, reader: NodePlan, step: Step, zero_ns: int) -> Iterator[Row]:
    base = {"name": message.topic, "cat": "message", "id": number, "pid": RUN}
    sender = track_of(plan, publisher_of(message.topic))
    yield {"ph": "s", **base, "tid": sender, "ts": _us(message.sent_ns, zero_ns)}
    track = FIRST_NODE_TRACK + reader.index
    yield {"ph": "f", "bp": "e", **base, "tid": track, "ts": _us(step.start_ns, zero_ns)}


def _frames(topics: list[str], followed: list[Followed], zero_ns: int) -> Iterator[Row]:
    """Each frame's way as slices that may overlap with those of the next frame: one row for each topic."""
    for number, frame in enumerate(followed, 1):
        times_ns = [frame.origin_ns, *frame.sent_ns]
        whole = {"cat": "frame", "id2": {"local": f"{topics[-1]}-{number}"}, "pid": FRAMES, "tid": FRAMES}
        spans = [("capture to CAN", times_ns[0], times_ns[-1])]
        for place, (topic, (begin_ns, end_ns)) in enumerate(zip(topics, pairwise(times_ns), strict=True), 1):
            spans.append((f"{place}. until {topic}", begin_ns, end_ns))
        for name, begin_ns, end_ns in spans:
            yield {"ph": "b", "name": name, **whole, "ts": _us(begin_ns, zero_ns)}
            yield {"ph": "e", "name": name, **whole, "ts": _us(end_ns, zero_ns)}
