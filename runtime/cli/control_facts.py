"""What the bridge said about who drives: its verdicts, live from the bus and from the recording of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import msgspec

from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.kept import recording_of
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import NS_PER_S, Clock, ns
from cardan.runtime.log.read import read_log
from cardan.runtime.plan import Plan

CHANGED = ("before", "after", "cause")
"""Fields of a change in the event log."""
VERDICT = "cardan.runtime.messages:BridgeVerdict"
WAIT_S = 1.0
"""A bridge answers in every period; after so long without a verdict it does not answer."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a verdict that says who drives."""

    engagement: str
    cause: str
    """Of the newest change of engagement."""
    accepted: bool
    reason: str
    steering_rad: float
    accel_mps2: float


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of engagement."""

    wall_ns: int
    """Label: when the first verdict with the new engagement was sent."""
    before: str
    after: str
    cause: str


def verdict_topic(plan: Plan) -> str:
    """The topic of the bridge's verdicts; NoDataError when the vehicle has no bridge."""
    for topic, output in plan.topics().items():
        if output.type == VERDICT:
            return topic
    raise NoDataError(f"{plan.name} has no bridge", hint="only a vehicle with a bridge can be engaged")


def live_verdict_or_none(found: FoundRun, clock: Clock) -> Verdict | None:
    """The next verdict of a run that is active; None when none comes within WAIT_S. Blocks for so long."""
    if found.bus_dir is None:
        return None
    from cardan.runtime.bus.envelope import HEADER_SIZE
    from cardan.runtime.bus.tail import open_tail
    from cardan.runtime.cli.foreign import decode_foreign

    newest: list[bytes] = []
    ends_ns = clock.now_ns() + ns(WAIT_S)
    with closing(open_tail(found.plan, found.bus_dir, [verdict_topic(found.plan)], clock)) as tail:
        while not newest and clock.now_ns() < ends_ns:
            tail.wait((ends_ns - clock.now_ns()) / NS_PER_S)
            tail.drain(lambda _, message: newest.append(message))
    return verdict_of(decode_foreign(newest[-1][HEADER_SIZE:])) if newest else None


def engagement_changes(found: FoundRun) -> list[Change]:
    """Every change of engagement of a run: as the bridge noted it in the event log, else as it was recorded.

    NoDataError when this vehicle has no bridge, or neither log nor recording says anything.
    """
    verdict_topic(found.plan)
    records = read_log(found.logs) if found.run_id else []
    noted = [
        Change(wall_ns=record.wall_ns, **{name: str(record.fields.get(name, "")) for name in CHANGED})
        for record in records
        if record.code == "engagement"
    ]
    return noted or changes(recorded_verdicts(found))


def recorded_verdicts(found: FoundRun) -> list[tuple[int, Verdict]]:
    """(wall time, verdict) of every recorded verdict, oldest first; NoDataError when the run recorded nothing.

    Reads the whole recording of the run, so it takes as long as that is large. Of a run that is active, the newest
    second or so is not in the file yet.
    """
    from cardan.runtime.record.files import recording_paths
    from cardan.runtime.record.mcap_file import read_messages

    topic = verdict_topic(found.plan)
    if recording_of(found.plan, found.data_dir, found.run_id) is None:
        run = found.run_id or found.plan.name
        raise NoDataError(f"run {run} has no recording", hint="is a recorder in its manifest?")
    rows = [
        (message.log_ns, verdict_of(json.loads(message.data)))
        for path in recording_paths(found.data_dir, found.run_id)
        for message in read_messages(path)
        if message.topic == topic
    ]
    if not rows:
        raise NoDataError(
            f"the recording of run {found.run_id} has no verdict of the bridge", hint="did the bridge start?"
        )
    return rows


def verdict_of(fields: Any) -> Verdict:
    """A Verdict from the fields of a message; what a bridge of another version left out is empty."""
    known = fields if isinstance(fields, dict) else {}
    return Verdict(
        engagement=str(known.get("engagement", "")),
        cause=str(known.get("cause", "")),
        accepted=bool(known.get("accepted", False)),
        reason=str(known.get("reason", "")),
        steering_rad=_number(known.get("steering_rad")),
        accel_mps2=_number(known.get("accel_mps2")),
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def changes(verdicts: Iterable[tuple[int, Verdict]]) -> list[Change]:
    """Each change of engagement in a row of verdicts, with its one cause. The first verdict is no change."""
    found: list[Change] = []
    before = ""
    for wall_ns, verdict in verdicts:
        if before and verdict.engagement != before:
            found.append(Change(wall_ns=wall_ns, before=before, after=verdict.engagement, cause=verdict.cause))
        before = verdict.engagement
    return found
