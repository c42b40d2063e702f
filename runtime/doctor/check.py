"""A check: one question about the computer or the vehicle, answered with pass, fail or unknown, and what helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec

from cardan.runtime.clock import Clock
from cardan.runtime.findings import Finding
from cardan.runtime.plan import Plan
from cardan.runtime.profile import Profile


class Verdict(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    UNKNOWN = "unknown"
    """It could not be found out; the text says why."""


class Result(msgspec.Struct, frozen=True):
    """The answer of one check."""

    verdict: Verdict
    text: str
    """What was found."""
    fix: str = ""
    """What helps; empty for a pass."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is examined. Paths below `root` let a test, or an image that is not running, be examined too."""

    profile: Profile
    plan: Plan | None
    """None when the manifest has findings."""
    findings: list[Finding]
    data_dir: Path
    clock: Clock
    root: Path = Path("/")

    def path(self, absolute: str) -> Path:
        """`absolute` below the root of what is examined."""
        return self.root / absolute.lstrip("/")


@dataclass(frozen=True)
class Check:
    """One question. `run` may block: after `limit_s` the answer is `unknown`."""

    name: str
    """`area.question`, such as `machine.cores`."""
    about: str
    """The question, on one line."""
    run: Callable[[Subject], Result]
    limit_s: float = 2.0


def passed(text: str) -> Result:
    """All is well."""
    return Result(Verdict.PASS, text)


def failed(text: str, fix: str) -> Result:
    """Something is wrong."""
    return Result(Verdict.FAIL, text, fix)


def unknown(text: str, fix: str = "") -> Result:
    """It cannot be found out here."""
    return Result(Verdict.UNKNOWN, text, fix)
