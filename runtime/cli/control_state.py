"""`cardan control state`: who drives, why, and what happened to the newest command."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli.control_causes import meaning
from cardan.runtime.cli.control_facts import Verdict, live_verdict_or_none, recorded_verdicts, verdict_of, verdict_topic
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.errors import BusError

WRONG = ("soft-disabling", "safe-stop", "fault-latched")
"""Engagements in which something has failed."""


def run(arguments: argparse.Namespace) -> int:
    """Print the engagement; 1 when something has failed."""
    found = find_run(arguments.data_dir)
    verdict = newest_verdict(found, MonotonicClock())
    if arguments.json:
        document = {"schema_version": 1, "live": found.live, "run": found.run_id, **msgspec.to_builtins(verdict)}
        print(msgspec.json.encode(document).decode())
    else:
        write_lines(state_lines(found, verdict), sys.stdout)
    return int(Exit.FINDING if verdict.engagement in WRONG else Exit.HEALTHY)


def newest_verdict(found: FoundRun, clock: Clock) -> Verdict:
    """Of a run that is active the next verdict, else the last one that was kept, or recorded."""
    if not found.live:
        return _kept_verdict_or_none(found, clock) or recorded_verdicts(found)[-1][1]
    verdict = live_verdict_or_none(found, clock)
    if verdict is None:
        raise NoDataError("the bridge does not answer", hint="is it running? `cardan status`")
    return verdict


def _kept_verdict_or_none(found: FoundRun, clock: Clock) -> Verdict | None:
    """The last verdict in the ring of its topic, which is quicker to find than in a recording."""
    from cardan.runtime.cli.foreign import decode_foreign
    from cardan.runtime.cli.tap import newest_or_none

    try:
        heard = newest_or_none(found, verdict_topic(found.plan), clock)
        return verdict_of(decode_foreign(heard.payload)) if heard is not None else None
    except (BusError, NoDataError):
        return None


def state_lines(found: FoundRun, verdict: Verdict) -> list[Line]:
    """The engagement first."""
    role = "bad" if verdict.engagement in WRONG else "good" if verdict.engagement == "enabled" else "plain"
    when = "live" if found.live else "at the end of the last run"
    said, hint = meaning(verdict.cause)
    command = "accepted" if verdict.accepted else f"not followed: {safe_text(verdict.reason)}"
    rows = [
        Line(f"{safe_text(verdict.engagement)}  {found.title}, {when}", role),
        Line(f"  cause     {safe_text(verdict.cause)}{f': {said}' if said else ''}"),
        Line(f"  command   {command}"),
        Line(f"  steering  {verdict.steering_rad:.4f} rad"),
        Line(f"  accel     {verdict.accel_mps2:.2f} m/s2"),
    ]
    return [*rows, Line(f"  hint: {hint}", "faint")] if hint else rows
