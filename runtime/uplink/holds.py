"""What holds a class back before anything is tried: one decision, for the uplink and for `cardan sync why`."""

from __future__ import annotations

from typing import Literal

import msgspec

from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.links import NO_LINK, Link

HoldCode = Literal["consent", "withdrawn", "paused", "no-link", "metered", "budget"]


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What decides whether data may leave now, apart from budgets."""

    consent: bool = False
    purposes: frozenset[str] | None = None
    """What is consented to now; None: everything that was kept. A segment that was kept for more than this stays."""
    paused: tuple[str, ...] = ()
    """Names of classes that a person holds back."""
    link: Link = NO_LINK
    over_metered: tuple[str, ...] = ()
    """Names of classes that may leave over a link that costs money."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why a class waits."""

    code: HoldCode
    text: str


def withdrawn(purposes: tuple[str, ...], conditions: Conditions) -> list[str]:
    """Purposes that records were kept for, and that nobody consents to any more."""
    return sorted(set(purposes) - conditions.purposes) if conditions.purposes is not None else []


def hold_or_none(kind: RecordClass, conditions: Conditions, left_bytes: int | None) -> Hold | None:
    """What holds `kind` back; None: it may leave. left_bytes: of its budget on this link, None where it has none."""
    name, link = kind.name.lower(), conditions.link
    if not conditions.consent or conditions.purposes == frozenset():
        return Hold(code="consent", text="there is no consent to send anything")
    if name in conditions.paused:
        return Hold(code="paused", text="a person paused it")
    if link.kind == "none":
        return Hold(code="no-link", text=link.because)
    if link.metered and name not in conditions.over_metered:
        return Hold(
            code="metered",
            text=f"{link.interface} costs money ({link.because}), and {name} waits for one that does not",
        )
    if left_bytes is not None and left_bytes <= 0:
        return Hold(code="budget", text=f"the day's bytes over {link.kind} links are used up")
    return None
