"""What happened in a run, in order: who drove, first causes, modes and restarts, each with its moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from cardan.runtime.cli.control_causes import meaning
from cardan.runtime.cli.lines import safe_text
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.faults import find_fault
from cardan.runtime.log.record import LogRecord

KEPT = 200
"""Events, and as many changes of engagement; older ones are dropped, and counted."""
LONGEST = 300
"""Letters of one text."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    at_s: float
    """Since the start of the run."""
    kind: str
    """engagement, fault, cause, mode or restart."""
    title: str
    detail: str = ""
    """What it means."""
    hint: str = ""
    """What to do about it."""


class Drove(msgspec.Struct, frozen=True, kw_only=True):
    """Who drove, from one moment on."""

    at_s: float
    engagement: str


class Timeline:
    """Collects for one run. Faults and causes stand in the vitals; engagement, modes, restarts are seen to change.

    What changed before the watching began, the log of the run tells: give it first.
    """

    def __init__(self, started_ns: int) -> None:
        self._started_ns = started_ns
        self._drove: deque[Drove] = deque(maxlen=KEPT)
        self._seen: deque[Event] = deque(maxlen=KEPT)
        self._starts: dict[str, int] = {}
        self._mode = ""
        self._told_ns = 0
        """Of the newest change of engagement in the log."""
        self.dropped = 0
        self.cause = ""
        """Of the newest change of engagement."""

    @property
    def engagement(self) -> str:
        """Who drives now; empty while nothing is known."""
        return self._drove[-1].engagement if self._drove else ""

    @property
    def drove(self) -> list[Drove]:
        """Every change that was seen, oldest first; the first is how it was when watching began."""
        return list(self._drove)

    def take_log(self, records: Iterable[LogRecord]) -> None:
        """What the supervisor and the bridge have logged so far, in order."""
        for record in records:
            fields = record.fields
            if record.code == "engagement":
                said = (_short(str(fields.get(name, ""))) for name in ("before", "after", "cause"))
                self._take_turn(record.t_ns, *said)
            elif record.code == "node-start" and isinstance(starts := fields.get("starts"), int) and starts > 1:
                self._started(record.t_ns, record.node, starts - 1)
                self._starts[record.node] = starts
            elif record.code in ("run-mode", "run-mode-normal"):
                self._turned(record.t_ns, str(fields.get("mode", "")), str(fields.get("why", "")))

    def _take_turn(self, at_ns: int, before: str, after: str, cause: str) -> None:
        if not self._drove:
            self._drove.append(Drove(at_s=0.0, engagement=before))
        self._changed(at_ns, after, cause)
        self._told_ns = at_ns

    def take_verdict(self, sent_ns: int, fields: Any) -> None:
        """One verdict of the bridge, in order; one from before the end of the log has been told already."""
        known = fields if isinstance(fields, dict) else {}
        engagement, cause = (_short(str(known.get(name, ""))) for name in ("engagement", "cause"))
        if engagement and sent_ns > self._told_ns:
            self._changed(sent_ns, engagement, cause)

    def _changed(self, at_ns: int, engagement: str, cause: str) -> None:
        if engagement != self.engagement:
            if self._drove:
                says, hint = meaning(cause)
                title = f"{self.engagement} → {engagement}: {cause or 'no cause given'}"
                self._add(Event(at_s=self._at_s(at_ns), kind="engagement", title=title, detail=says, hint=hint))
            self._drove.append(Drove(at_s=self._at_s(at_ns), engagement=engagement))
        self.cause = cause

    def _started(self, at_ns: int, node: str, restarts: int) -> None:
        self._add(Event(at_s=self._at_s(at_ns), kind="restart", title=f"{node} was started again ({restarts})"))

    def _turned(self, at_ns: int, mode: str, text: str) -> None:
        title = _short(mode or "normal operation")
        self._add(Event(at_s=self._at_s(at_ns), kind="mode", title=title, detail=_short(text)))
        self._mode = mode

    def take_snapshot(self, shot: Snapshot) -> None:
        """Notice what has changed since the snapshot before."""
        for node in shot.nodes:
            before = self._starts.get(node.plan.name, 1 if node.started_ns else 0)
            if node.starts > before and node.starts > 1:
                self._started(node.started_ns, node.plan.name, node.restarts)
            self._starts[node.plan.name] = node.starts
        if shot.mode != self._mode:
            self._turned(shot.mode_ns or shot.taken_ns, shot.mode, shot.mode_text)

    def events(self, shot: Snapshot) -> list[Event]:
        """Everything, newest first."""
        faults = [
            self._fault(node.fault[0], node.fault[1], f"{node.plan.name}: {node.fault[2]}")
            for node in shot.nodes
            if node.fault
        ]
        cause = [self._fault(shot.cause_ns, shot.cause_code, shot.cause, "cause")] if shot.cause_ns else []
        return sorted([*self._seen, *faults, *cause], key=lambda event: -event.at_s)[:KEPT]

    def _fault(self, at_ns: int, code: str, text: str, kind: str = "fault") -> Event:
        fault = find_fault(code)
        return Event(
            at_s=self._at_s(at_ns),
            kind=kind,
            title=_short(f"{text} ({code})" if code and code not in text else text),
            detail=fault.meaning if fault else "",
            hint=fault.cure if fault else "",
        )

    def _add(self, event: Event) -> None:
        self.dropped += len(self._seen) == KEPT
        self._seen.append(event)

    def _at_s(self, at_ns: int) -> float:
        return round((at_ns - self._started_ns) / 1e9, 3)


def _short(text: str) -> str:
    return safe_text(text)[:LONGEST]
