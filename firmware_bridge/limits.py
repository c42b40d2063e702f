"""Reads the `[envelope.SIGNAL]` tables of a manifest into an Envelope; it accepts nothing wider than the standards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from cardan.firmware_bridge.envelope import (
    ACCEL_MAXIMUM_MPS2,
    ACCEL_MINIMUM_MPS2,
    LATERAL_ACCEL_MAXIMUM_MPS2,
    LATERAL_JERK_MAXIMUM_MPS3,
    MAX_AGE_PERIODS,
    STEERING_MAXIMUM_RAD,
    WINDOW_S,
    Bounds,
    Envelope,
    SignalLimits,
    envelope_hash,
    is_number,
)
from cardan.runtime.errors import ConfigError

KEYS = (
    "quantity",
    "minimum",
    "maximum",
    "rate_per_s",
    "change_per_window",
    "maximum_by_speed",
    "on_violation",
    "safe_value",
    "wheelbase_m",
    "lateral_accel_mps2",
    "lateral_jerk_mps3",
)
"""What a table may hold; the meaning is that of the field of the same name in SignalLimits."""
QUANTITIES = ("steering_angle", "acceleration", "other")


def read_envelope(
    table: Mapping[str, Mapping[str, object]], *, period_s: float, max_age_periods: float = MAX_AGE_PERIODS
) -> Envelope:
    """The envelope that a manifest's `[envelope.SIGNAL]` tables describe; ConfigError names the key that is wrong.

    `quantity` is optional for names that end in `_mps2` (acceleration) or begin with `steering` and end in `_rad`.
    """
    if not 0 < period_s <= WINDOW_S:
        raise ConfigError(f"the control period is {period_s} s, expected more than 0 and at most {WINDOW_S}")
    if not 0 < max_age_periods <= MAX_AGE_PERIODS:
        raise ConfigError(f"max_age_periods is {max_age_periods}, expected more than 0 and at most {MAX_AGE_PERIODS}")
    if not table:
        raise ConfigError("the envelope has no signals: without limits nothing may be sent")
    signals = tuple(_Reader(name, settings).read() for name, settings in table.items())
    return Envelope(signals=signals, period_s=period_s, max_age_s=max_age_periods * period_s, hash=envelope_hash(table))


class _Reader:
    """Reads one `[envelope.SIGNAL]` table."""

    def __init__(self, name: str, settings: Mapping[str, object]) -> None:
        self._name = name
        self._settings = {key: value for key, value in settings.items() if value is not None}

    def read(self) -> SignalLimits:
        unknown = sorted(set(self._settings) - set(KEYS))
        if unknown:
            raise self._error(unknown[0], f"unknown key, known are {', '.join(sorted(KEYS))}")
        quantity = self._choice("quantity", _guess_quantity(self._name), QUANTITIES)
        steering = quantity == "steering_angle"
        minimum, maximum = self._range(quantity)
        rate = self._number("rate_per_s", low=0.0, open_low=True)
        return SignalLimits(
            name=self._name,
            quantity=quantity,
            minimum=minimum,
            maximum=maximum,
            rate_per_s=rate,
            change_per_window=self._number("change_per_window", rate * WINDOW_S, low=0.0, open_low=True),
            maximum_by_speed=self._by_speed(),
            on_violation=self._choice("on_violation", "clamp", ("clamp", "drop")),
            safe_value=self._number("safe_value", min(max(0.0, minimum), maximum), low=minimum, high=maximum),
            wheelbase_m=self._wheelbase(steering),
            lateral_accel_mps2=self._lateral("lateral_accel_mps2", LATERAL_ACCEL_MAXIMUM_MPS2, steering),
            lateral_jerk_mps3=self._lateral("lateral_jerk_mps3", LATERAL_JERK_MAXIMUM_MPS3, steering),
        )

    def _range(self, quantity: str) -> Bounds:
        widest = {
            "acceleration": (ACCEL_MINIMUM_MPS2, ACCEL_MAXIMUM_MPS2),
            "steering_angle": (-STEERING_MAXIMUM_RAD, STEERING_MAXIMUM_RAD),
        }.get(quantity, (-math.inf, math.inf))
        minimum = self._number("minimum", low=widest[0])
        maximum = self._number("maximum", high=widest[1])
        if minimum >= maximum:
            raise self._error("maximum", f"{maximum} is not above the minimum {minimum}")
        return minimum, maximum

    def _wheelbase(self, steering: bool) -> float:
        if not steering:
            return self._unused("wheelbase_m")
        return self._number("wheelbase_m", low=0.0, open_low=True)

    def _lateral(self, key: str, widest: float, steering: bool) -> float:
        if not steering:
            return self._unused(key)
        return self._number(key, widest, low=0.0, high=widest, open_low=True)

    def _unused(self, key: str) -> float:
        if key in self._settings:
            raise self._error(key, "only a steering angle has this limit")
        return 0.0

    def _by_speed(self) -> tuple[tuple[float, float], ...]:
        rows = self._settings.get("maximum_by_speed", ())
        if not isinstance(rows, list | tuple):
            raise self._error("maximum_by_speed", "expected rows of [speed in m/s, largest magnitude]")
        pairs = tuple(self._pair(row) for row in rows)
        if any(late[0] <= early[0] for early, late in pairwise(pairs)):
            raise self._error("maximum_by_speed", "the speeds must ascend")
        return pairs

    def _pair(self, row: object) -> tuple[float, float]:
        pair = row if isinstance(row, list | tuple) else ()
        if len(pair) != 2 or not all(is_number(item) and item >= 0 for item in pair):
            raise self._error("maximum_by_speed", f"expected [speed in m/s, largest magnitude], got {row!r}")
        return float(pair[0]), float(pair[1])

    def _number(
        self,
        key: str,
        default: float | None = None,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        open_low: bool = False,
    ) -> float:
        value = self._settings.get(key, default)
        if value is None:
            raise self._error(key, "missing")
        if not is_number(value):
            raise self._error(key, f"expected a finite number, got {value!r}")
        if value < low or value > high or (open_low and value == low):
            least = f"more than {low:g}" if open_low else f"at least {low:g}"
            raise self._error(key, f"is {value:g}, expected {least} and at most {high:g}")
        return float(value)

    def _choice(self, key: str, default: str | None, known: tuple[str, ...]) -> str:
        value = self._settings.get(key, default)
        if value not in known:
            raise self._error(key, f"expected one of {', '.join(known)}, got {value!r}")
        return str(value)

    def _error(self, key: str, text: str) -> ConfigError:
        return ConfigError(f"envelope.{self._name}.{key}: {text}")


def _guess_quantity(name: str) -> str | None:
    if name.endswith("_mps2"):
        return "acceleration"
    return "steering_angle" if name.startswith("steering") and name.endswith("_rad") else None
