"""The envelope: the limits that a command must keep before it may become a frame. Pure: no I/O, no clock.

A command is judged against six limits, in this order: the range of the signal, its largest magnitude at the present
speed, the lateral acceleration it causes, its change in one period, its change in any 250 ms, and the lateral jerk.
The last accepted values are part of the judgement and of the answer, so that a controller can go on from them.
When the speed has risen so much that the value in force is outside what the new speed allows, the way back is limited
too: the value moves towards the allowed range as fast as one period allows, and no faster.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeGuard

ACCEL_MAXIMUM_MPS2 = 2.0
"""ISO 15622, adaptive cruise control: strongest acceleration."""
ACCEL_MINIMUM_MPS2 = -3.5
"""ISO 15622: strongest automatic deceleration."""
LATERAL_ACCEL_MAXIMUM_MPS2 = 3.0
"""ISO 11270, lane keeping: largest lateral acceleration."""
LATERAL_JERK_MAXIMUM_MPS3 = 5.0
"""ISO 11270: largest lateral jerk."""
WINDOW_S = 0.25
"""Length of the window in which the change of a signal is limited."""
MAX_AGE_PERIODS = 3
"""A command older than this many control periods is stale."""
STEERING_MAXIMUM_RAD = 1.2
"""No front wheel turns further; it keeps tan() of the angle well-behaved."""

Bounds = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalLimits:
    """Limits of one signal, in its own unit."""

    name: str
    quantity: str
    """steering_angle (of the front wheels, rad), acceleration (longitudinal, m/s2), or other."""
    minimum: float
    maximum: float
    rate_per_s: float
    """Largest change in one second; one period allows its share."""
    change_per_window: float
    """Largest change within any 250 ms."""
    maximum_by_speed: tuple[tuple[float, float], ...]
    """(speed in m/s, largest magnitude), speed ascending; linear between, constant outside. Empty = no such limit."""
    on_violation: str
    """clamp: send the nearest allowed value. drop: refuse the whole command and hold the last one."""
    safe_value: float
    """What stands in a frame that asks nothing of the actuator."""
    wheelbase_m: float
    """Of a steering angle: links the angle to the curvature, and so to lateral acceleration; else 0."""
    lateral_accel_mps2: float
    lateral_jerk_mps3: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """Limits of one command."""

    signals: tuple[SignalLimits, ...]
    period_s: float
    max_age_s: float
    hash: str

    @property
    def window_periods(self) -> int:
        """Control periods in the 250 ms window."""
        return max(1, round(WINDOW_S / self.period_s))


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was accepted of one signal: the last value, and those of the last 250 ms (newest last)."""

    last: float
    window: tuple[float, ...]


State = Mapping[str, Accepted]
"""Per signal, what was accepted so far."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one command."""

    accepted: bool
    """It may be sent as it is."""
    usable: bool
    """`values` may be sent on its behalf: it was accepted or clamped. Otherwise hold the last values."""
    reason: str
    """`ok`, or code and signal of the first violation, as in `rate:steering_rad`."""
    values: Mapping[str, float]
    """What to send. Inside `bounds`, whatever the command was."""
    bounds: Mapping[str, Bounds]
    """Per signal, the least and the greatest value that may be sent now."""


def envelope_hash(table: Mapping[str, object]) -> str:
    """First 16 hex digits of the SHA-256 of the canonical form (JSON, keys sorted, numbers as floats) of `table`."""
    text = json.dumps(_canonical(table), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def start(envelope: Envelope, values: Mapping[str, float]) -> State:
    """The state from which a ramp begins: `values` (usually as measured), brought into the range of each signal."""
    state = {}
    for limits in envelope.signals:
        value = min(max(values[limits.name], limits.minimum), limits.maximum)
        state[limits.name] = Accepted(value, (value,))
    return state


def advance(envelope: Envelope, state: State, sent: Mapping[str, float]) -> State:
    """The state after `sent` went out."""
    keep = envelope.window_periods - 1
    return {
        name: Accepted(sent[name], (*accepted.window[max(0, len(accepted.window) - keep) :], sent[name]))
        for name, accepted in state.items()
    }


def check(
    envelope: Envelope, command: Mapping[str, object], *, age_s: float, speed_mps: float, state: State
) -> Verdict:
    """Judge a command of age `age_s` at vehicle speed `speed_mps`, after what was accepted so far.

    Anything may stand in `command`: only finite floats and ints are numbers. A command that is stale, incomplete or no
    number is not usable, and neither is one that violates a signal declared `drop`; the values are then the last ones.
    """
    if not 0.0 <= age_s <= envelope.max_age_s:
        return refuse(envelope, "stale", speed_mps, state)
    wanted = {}
    for limits in envelope.signals:
        if limits.name not in command:
            return refuse(envelope, f"missing:{limits.name}", speed_mps, state)
        value = command[limits.name]
        if not is_number(value):
            return refuse(envelope, f"not-a-number:{limits.name}", speed_mps, state)
        wanted[limits.name] = float(value)
    return limit(envelope, wanted, speed_mps=speed_mps, state=state)


def limit(
    envelope: Envelope, wanted: Mapping[str, float], *, speed_mps: float, state: State, drop: bool = True
) -> Verdict:
    """Judge values that are finite numbers. A speed that is no finite number is a reason to refuse.

    drop: False for values that the guard itself made: they are clamped, whatever the signal declares.
    """
    if not math.isfinite(speed_mps):
        return refuse(envelope, "speed-unknown", speed_mps, state)
    values, bounds, reason = {}, {}, ""
    dropped = False
    for limits in envelope.signals:
        name = limits.name
        judged = _judge(limits, wanted[name], state[name], abs(speed_mps), envelope.period_s)
        values[name], bounds[name] = judged.nearest, judged.bounds
        if judged.violated:
            reason = reason or f"{judged.violated}:{name}"
            dropped = dropped or (drop and limits.on_violation == "drop")
    if dropped:
        return refuse(envelope, reason, speed_mps, state)
    return Verdict(not reason, True, reason or "ok", values, bounds)


def refuse(envelope: Envelope, reason: str, speed_mps: float, state: State) -> Verdict:
    """The verdict on a command that cannot be used: hold what was accepted last, as far as the speed allows it."""
    values = {name: accepted.last for name, accepted in state.items()}
    bounds: dict[str, Bounds] = {name: (value, value) for name, value in values.items()}
    if math.isfinite(speed_mps):
        for limits in envelope.signals:
            last = state[limits.name]
            judged = _judge(limits, last.last, last, abs(speed_mps), envelope.period_s)
            values[limits.name], bounds[limits.name] = judged.nearest, judged.bounds
    return Verdict(False, False, reason, values, bounds)


class _Judged(NamedTuple):
    """What the limits say about one value."""

    violated: str
    """Code of the first limit that it violates; "" = none."""
    nearest: float
    """The value to send for it."""
    bounds: Bounds
    """What may be sent at all. The last value is always inside, so that a coarse message can carry something."""


def _judge(limits: SignalLimits, value: float, accepted: Accepted, speed_mps: float, period_s: float) -> _Judged:
    places, steps = place_limits(limits, speed_mps), _step_limits(limits, accepted, speed_mps, period_s)
    place_low, place_high = _common(places)
    step_low, step_high = _common(steps)
    violated = ""
    if not (place_low <= value <= place_high and step_low <= value <= step_high):
        violated = next(code for code, low, high in (*places, *steps) if not low <= value <= high)
    # Outside the place (the speed has risen) all between the last value and the place is allowed on the way back.
    low = max(min(place_low, accepted.last), step_low)
    high = min(max(place_high, accepted.last), step_high)
    nearest = min(max(min(max(value, place_low), place_high), step_low), step_high)
    return _Judged(violated, nearest, (low, high))


def _common(found: list[tuple[str, float, float]]) -> Bounds:
    """What all intervals have in common."""
    _, common_low, common_high = found[0]
    for _, low, high in found:
        if low > common_low:
            common_low = low
        if high < common_high:
            common_high = high
    return common_low, common_high


def place_limits(limits: SignalLimits, speed_mps: float) -> list[tuple[str, float, float]]:
    """Where the signal may be."""
    found = [("range", limits.minimum, limits.maximum)]
    if limits.maximum_by_speed:
        largest = _interpolate(limits.maximum_by_speed, speed_mps)
        found.append(("speed", -largest, largest))
    square = speed_mps * speed_mps
    if limits.wheelbase_m and square:
        largest = math.atan(limits.wheelbase_m * limits.lateral_accel_mps2 / square)
        found.append(("lateral-accel", -largest, largest))
    return found


def _step_limits(
    limits: SignalLimits, accepted: Accepted, speed_mps: float, period_s: float
) -> list[tuple[str, float, float]]:
    """How far the signal may go in one period. Each of these intervals contains the last value."""
    last, rate = accepted.last, limits.rate_per_s * period_s
    change = limits.change_per_window
    found = [
        ("rate", last - rate, last + rate),
        ("window", max(accepted.window) - change, min(accepted.window) + change),
    ]
    square = speed_mps * speed_mps
    if limits.wheelbase_m and square:
        # lateral acceleration = v^2 tan(angle) / wheelbase; its change in a period is limited
        tangent = math.tan(last)
        step = limits.lateral_jerk_mps3 * period_s * limits.wheelbase_m / square
        found.append(("lateral-jerk", min(last, math.atan(tangent - step)), max(last, math.atan(tangent + step))))
    return found


def _interpolate(rows: tuple[tuple[float, float], ...], at: float) -> float:
    """Value at `at` on the polyline; the first or last value outside it."""
    if at <= rows[0][0]:
        return rows[0][1]
    for (x0, y0), (x1, y1) in pairwise(rows):
        if at <= x1:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    return rows[-1][1]


def is_number(value: object) -> TypeGuard[float]:
    """True for a float or an int that is finite and that a float holds exactly; False for everything else."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and abs(value) <= 2**53
