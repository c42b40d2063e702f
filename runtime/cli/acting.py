"""Verbs that act on a vehicle: they ask, or take `--yes`, and are refused unless it stands still and nobody drives.

Not for what protects (`control disarm`), nor for what the bridge itself judges (`control arm`).
"""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import closing
from typing import IO

from cardan.runtime.cli.control_facts import live_verdict_or_none, verdict_topic
from cardan.runtime.cli.exits import NoDataError, RefusedError
from cardan.runtime.cli.foreign import decode_foreign
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.cli.tap import Heard, Tap
from cardan.runtime.clock import NS_PER_S, Clock, ns

STANDING_MPS = 0.1
"""Slower than this a vehicle stands: wheel speed sensors do not resolve less."""
FRESH_S = 0.5
"""A speed older than this is none."""
DISENGAGED = ("disabled", "fault-latched")
VEHICLE_STATE = "cardan.runtime.messages:VehicleState"


def add_yes(parser: argparse.ArgumentParser) -> None:
    """`--yes`."""
    parser.add_argument("--yes", action="store_true", help="do it without asking")


def confirm(question: str, *, yes: bool, keyboard: IO[str] | None = None, said_to: IO[str] | None = None) -> None:
    """Ask on a terminal, unless `yes`; RefusedError without a yes, and at once where nobody can be asked."""
    keyboard, said_to = keyboard or sys.stdin, said_to or sys.stderr
    if yes:
        return
    if not keyboard.isatty():
        raise RefusedError(f"{question}: nobody is here to be asked", hint="add --yes")
    print(f"{question}? [y/N] ", end="", file=said_to, flush=True)
    if keyboard.readline().strip().lower() not in ("y", "yes"):
        raise RefusedError("not done: no yes", hint="add --yes")


def require_standing(found: FoundRun, clock: Clock) -> None:
    """RefusedError, with the reason, unless the active run's vehicle stands still and nobody but the driver drives.

    A run without a bridge reaches no actuator and passes. What is not known counts as a no. Blocks for up to a second.
    """
    reason = reason_against(found, clock)
    if reason:
        raise RefusedError(f"refused: {reason}", hint="stop the vehicle and `cardan control disarm`")


def reason_against(found: FoundRun, clock: Clock) -> str:
    """Why nobody should act on this vehicle now; empty when nothing speaks against it."""
    try:
        verdict_topic(found.plan)
    except NoDataError:
        return ""
    verdict = live_verdict_or_none(found, clock)
    if verdict is None:
        return "the bridge does not say who drives"
    if verdict.engagement not in DISENGAGED:
        return f"the vehicle is engaged ({verdict.engagement})"
    speed_mps = speed_mps_or_none(found, clock)
    if speed_mps is None:
        return "the speed of the vehicle is not known"
    return f"the vehicle moves ({speed_mps:.1f} m/s)" if abs(speed_mps) > STANDING_MPS else ""


def speed_mps_or_none(found: FoundRun, clock: Clock) -> float | None:
    """The newest speed that the vehicle has reported, if it is fresh and valid."""
    for topic, output in found.plan.topics().items():
        heard = _newest(found, topic, clock) if output.type == VEHICLE_STATE else None
        if heard is None or not heard.header.valid:
            continue
        fields = decode_foreign(heard.payload)
        speed = fields.get("speed_mps") if isinstance(fields, dict) else None
        if isinstance(speed, (int, float)) and math.isfinite(speed):
            return float(speed)
    return None


def _newest(found: FoundRun, topic: str, clock: Clock) -> Heard | None:
    """The newest message that is not older than FRESH_S; waits for one for so long."""
    ends_ns = clock.now_ns() + ns(FRESH_S)
    with closing(Tap(found, topic, clock, last=1)) as tap:
        while True:
            fresh = [heard for heard in tap.take() if clock.now_ns() - heard.header.sent_ns <= ns(FRESH_S)]
            if fresh or clock.now_ns() >= ends_ns:
                return fresh[-1] if fresh else None
            tap.wait((ends_ns - clock.now_ns()) / NS_PER_S)
