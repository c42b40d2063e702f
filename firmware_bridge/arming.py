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
    latched: str,
    listen_only: bool,
    unmet: str,
    command_reason: str,
    command_usable: bool,
    bus_problems: Sequence[str],
    not_ready: Sequence[str],
    driver: str,
    stop_asked: str,
    speed_mps: float,
    measured: Mapping[str, float],
) -> list[Check]:
    """Every check with its result.

    latched: cause of a fault that nobody has reset. unmet: what the hardware profile demands of this process and is not
    so. not_ready: signals whose actuator does not answer. driver: what the driver does now that speaks against arming.
    stop_asked: why the supervisor asks for a safe stop. Empty = nothing, for all of them.
    """
    return [
        _clear("fault", latched, "none is latched", "find the cause, then `cardan control reset`"),
        _clear("listen-only", "by configuration" if listen_only else "", "may send", "set listen_only = false"),
        _clear("scheduler", unmet, "as the profile demands", "allow it: LimitRTPRIO= or CAP_SYS_NICE"),
        Check("command", command_usable, command_reason, "is control running, with the same envelope?"),
        _clear("bus", ", ".join(bus_problems), "healthy", "look at the bus: `cardan can health`"),
        _clear("actuators", ", ".join(not_ready), "take commands", "what do their control units report?"),
        _clear("driver", driver, "hands and feet off", "release brake, steering wheel and accelerator"),
        _clear("supervisor", stop_asked, "asks for no stop", "what is lost? `cardan status`"),
        *(_in_place(envelope, name, measured, speed_mps) for name in _steering(envelope)),
    ]


def _clear(name: str, trouble: str, otherwise: str, hint: str) -> Check:
    """A check that passes when there is no trouble."""
    return Check(name, not trouble, trouble or otherwise, hint)


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
