"""What the bridge decided and the vehicle did in the seconds around a moment."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import msgspec

from cardan.runtime.cli.summary import verdict_topic
from cardan.runtime.clock import ns
from cardan.runtime.errors import BusError
from cardan.runtime.plan import Plan
from cardan.runtime.why.answer import Signals
from cardan.runtime.why.evidence import AROUND_NS, Evidence
from cardan.runtime.why.messages import Kept, kept_between

STATE = "cardan.runtime.messages:VehicleState"
EVERY_NS = ns(1.0)
OLDEST_NS = ns(0.5)
"""A value that is older does not stand for a moment."""


def signals_around(evidence: Evidence, moment_ns: int) -> list[Signals]:
    """A row for each second within five; none when nothing of it was kept."""
    verdict, state = verdict_topic(evidence.plan), _state_topic(evidence.plan)
    topics = [topic for topic in (verdict, state) if topic]
    kept = kept_between(evidence, topics, moment_ns - AROUND_NS, moment_ns + AROUND_NS)
    times = range(moment_ns - AROUND_NS, moment_ns + AROUND_NS + 1, EVERY_NS) if kept else []
    rows = [_row(kept.get(verdict, []), kept.get(state, []), time_ns, moment_ns) for time_ns in times]
    return [row for row in rows if row.engagement is not None or row.speed_mps is not None]


def _state_topic(plan: Plan) -> str:
    return next((topic for topic, output in plan.topics().items() if output.type == STATE), "")


def _row(verdicts: list[Kept], states: list[Kept], time_ns: int, moment_ns: int) -> Signals:
    verdict, state = _newest(verdicts, time_ns), _newest(states, time_ns)
    return Signals(
        after_s=round((time_ns - moment_ns) / 1e9, 1),
        engagement=_word(verdict.get("engagement")),
        reason=_word(verdict.get("reason")),
        speed_mps=_number(state.get("speed_mps")),
        steering_rad=_number(verdict.get("steering_rad")),
        accel_mps2=_number(verdict.get("accel_mps2")),
    )


def _newest(rows: list[Kept], time_ns: int) -> dict[str, Any]:
    at = bisect_right([row.wall_ns for row in rows], time_ns) - 1
    return _fields(rows[at]) if at >= 0 and time_ns - rows[at].wall_ns <= OLDEST_NS else {}


def _fields(kept: Kept) -> dict[str, Any]:
    from cardan.runtime.cli.foreign import decode_foreign

    try:
        fields = msgspec.json.decode(kept.data) if kept.is_json else decode_foreign(kept.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, BusError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _word(value: Any) -> str | None:
    return str(value)[:80] if value is not None else None


def _number(value: Any) -> float | None:
    return round(float(value), 4) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
