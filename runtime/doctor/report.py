"""What the doctor found, as `cardan doctor --json` prints it and a bundle keeps it."""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.runtime.doctor.check import Check, Result, Verdict


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One check and its answer."""

    name: str
    about: str
    verdict: str
    """pass, fail or unknown."""
    text: str
    fix: str


def report(checks: list[Check], results: dict[str, Result]) -> dict[str, Any]:
    """The document."""
    failures = sum(result.verdict is Verdict.FAIL for result in results.values())
    answered = [_answered(check, results[check.name]) for check in checks]
    return {"schema_version": 1, "verdict": "ok" if not failures else f"{failures} failed", "checks": answered}


def _answered(check: Check, result: Result) -> Answered:
    return Answered(name=check.name, about=check.about, verdict=result.verdict.value, text=result.text, fix=result.fix)
