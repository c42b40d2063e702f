"""`[envelope.SIGNAL]` tables of a manifest: their keys, and the mistakes that can be seen before the bridge reads them.

The bridge alone gives these limits their meaning (cardan.firmware_bridge.envelope); a test holds both to the same
verdict.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec

from cardan.runtime.findings import Findings
from cardan.runtime.toml_lines import TomlPath

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]

WIDEST = {"acceleration": (-3.5, 2.0), "steering_angle": (-1.2, 1.2)}
"""Quantity -> range that no envelope may exceed: ISO 15622 (m/s2), and what front wheels can turn (rad)."""
STEERING_ONLY = {"wheelbase_m": math.inf, "lateral_accel_mps2": 3.0, "lateral_jerk_mps3": 5.0}
"""Keys of a steering angle -> largest value: ISO 11270 for the lateral limits."""


class EnvelopeSignal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one signal of an actuator command, in its own unit."""

    minimum: float
    """Least that a command may ask for."""
    maximum: float
    """The range that a command may ask for."""
    rate_per_s: Positive
    """Fastest change from one frame to the next."""
    quantity: Literal["steering_angle", "acceleration", "other"] | None = None
    """None: guessed from the unit in the name of the signal."""
    change_per_window: Positive | None = None
    """Largest change within any 250 ms; None: a quarter of `rate_per_s`."""
    maximum_by_speed: list[tuple[NotNegative, NotNegative]] = []
    """Rows of [speed in m/s, largest magnitude], linear between them."""
    on_violation: Literal["clamp", "drop"] = "clamp"
    """clamp: the nearest allowed value is sent. drop: the whole command is refused, and the last one holds."""
    safe_value: float | None = None
    """What is sent before anything was asked for; None: 0, or the limit that is nearest to it."""
    wheelbase_m: Positive | None = None
    """Of a steering angle: distance of the axles, from which the lateral limits follow."""
    lateral_accel_mps2: Positive | None = None
    """Of a steering angle; None: 3.0 (ISO 11270). A manifest may only tighten it."""
    lateral_jerk_mps3: Positive | None = None
    """Of a steering angle; None: 5.0 (ISO 11270). A manifest may only tighten it."""


def check_limits(name: str, limits: EnvelopeSignal, path: TomlPath, findings: Findings) -> None:
    """Record what contradicts itself, or exceeds what any vehicle may do, in the limits of the signal `name`."""
    quantity = limits.quantity or guess_quantity(name)
    if quantity is None:
        choices = ", ".join((*WIDEST, "other"))
        findings.add((*path, "quantity"), "is missing and the name does not tell it", f"write one of {choices}")
        return
    _check_range(limits, quantity, path, findings)
    _check_steering(limits, quantity, path, findings)
    speeds = [speed for speed, _ in limits.maximum_by_speed]
    if any(late <= early for early, late in pairwise(speeds)):
        findings.add((*path, "maximum_by_speed"), "the speeds do not ascend", "order the rows by speed")


def guess_quantity(name: str) -> str | None:
    """What a signal is, from its name: accelerations end in `_mps2`, steering angles begin with `steering`."""
    if name.endswith("_mps2"):
        return "acceleration"
    return "steering_angle" if name.startswith("steering") and name.endswith("_rad") else None


def _check_range(limits: EnvelopeSignal, quantity: str, path: TomlPath, findings: Findings) -> None:
    lowest, highest = WIDEST.get(quantity, (-math.inf, math.inf))
    if limits.minimum >= limits.maximum:
        what = f"{limits.maximum:g} is not above the minimum {limits.minimum:g}"
        findings.add((*path, "maximum"), what, "write the smaller one as minimum")
        return
    if limits.minimum < lowest:
        findings.add((*path, "minimum"), f"{limits.minimum:g} is too wide", f"expected at least {lowest:g}")
    if limits.maximum > highest:
        findings.add((*path, "maximum"), f"{limits.maximum:g} is too wide", f"expected at most {highest:g}")
    if limits.safe_value is not None and not limits.minimum <= limits.safe_value <= limits.maximum:
        expected = f"expected a number from {limits.minimum:g} to {limits.maximum:g}"
        findings.add((*path, "safe_value"), f"{limits.safe_value:g} is outside the limits", expected)


def _check_steering(limits: EnvelopeSignal, quantity: str, path: TomlPath, findings: Findings) -> None:
    if quantity == "steering_angle" and limits.wheelbase_m is None:
        findings.add((*path, "wheelbase_m"), "is missing", "write the distance of the axles in metres")
    for key, highest in STEERING_ONLY.items():
        value = getattr(limits, key)
        if value is None:
            continue
        if quantity != "steering_angle":
            findings.add((*path, key), "only a steering angle has this limit", "remove it")
        elif value > highest:
            findings.add((*path, key), f"{value:g} is too wide", f"expected at most {highest:g}")


def envelope_hash(table: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of the canonical form (JSON, keys sorted, numbers as floats) of all limits."""
    text = json.dumps(_canonical(table), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
