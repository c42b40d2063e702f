"""The arming checks: all of them are run, each says what to do, and every one must pass before the bridge sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cardan.firmware_bridge.envelope import Envelope, place_limits


@dataclass(frozen=True, slots=True)
class Check:
    """One arming check."""

    name: str
    passed: bool
    text: str
    """What was found, for people."""
    hint: str
    """What to do when it has not passed."""


def arming_checks(
    envelope: Envelope,
    *,
    listen_only: bool,
    command_reason: str,
    command_usable: bool,
    bus_problems: Sequence[str],
    driver: str,
    stop_asked: str,
    speed_mps: float,
    measured: Mapping[str, float],
) -> list[Check]:
    """Every check with its result.

    driver: what the driver does now that speaks against arming; "" = nothing. stop_asked: why the supervisor asks for
    a safe stop; "" = it does not.
    """
    return [
        Check(
            "listen-only", not listen_only, "by configuration" if listen_only else "may send", "set listen_only = false"
        ),
        Check("command", command_usable, command_reason, "is control running, with the same envelope?"),
        Check("bus", not bus_problems, ", ".join(bus_problems) or "healthy", "look at the bus: `candump`"),
        Check("driver", not driver, driver or "hands and feet off", "release brake, steering wheel and accelerator"),
        Check("supervisor", not stop_asked, stop_asked or "asks for no stop", "what is lost? `cardan status`"),
        *(_in_place(envelope, name, measured, speed_mps) for name in _steering(envelope)),
    ]


def _steering(envelope: Envelope) -> list[str]:
    return [limits.name for limits in envelope.signals if limits.quantity == "steering_angle"]


def _in_place(envelope: Envelope, name: str, measured: Mapping[str, float], speed_mps: float) -> Check:
    """A steering angle must lie inside the envelope before control may move it."""
    limits = next(item for item in envelope.signals if item.name == name)
    value = measured[name]
    inside = all(low <= value <= high for _, low, high in place_limits(limits, abs(speed_mps)))
    text = f"measured {value:.4f} at {speed_mps:.1f} m/s"
    return Check(name, inside, text, "straighten up, or engage at lower speed")


def first_failure(checks: Sequence[Check]) -> str:
    """Name and finding of the first check that did not pass; "" when all passed."""
    return next((f"{check.name} ({check.text})" for check in checks if not check.passed), "")
