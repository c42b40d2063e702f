"""Run all checks, side by side, each within its time; those of others are found by the entry point `cardan.checks`.

An entry point names a tuple of Check. What one check does, or fails to do, never keeps another from its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from cardan.runtime.clock import ns
from cardan.runtime.doctor.answer import Answer
from cardan.runtime.doctor.check import Check, Result, Subject, unknown

GROUP = "cardan.checks"
TOTAL_S = 8.5
"""Of all checks together, where nobody says otherwise."""


def all_checks() -> list[Check]:
    """Ours and those of every installed package, by name; a broken plug-in is a check that says so."""
    found: list[Check] = []
    for point in entry_points(group=GROUP):
        try:
            checks = point.load()
            found += [check for check in checks if isinstance(check, Check)]
        except Exception as error:  # a plug-in may raise anything while it is imported
            found.append(_broken(point.name, f"{type(error).__name__}: {error}"))
    return sorted(found, key=lambda check: check.name)


def _broken(name: str, why: str) -> Check:
    return Check(f"plugin.{name}", "do the checks of this package load?", lambda _: unknown(why, f"reinstall {name}"))


def examine(checks: Sequence[Check], subject: Subject, total_s: float = TOTAL_S) -> dict[str, Result]:
    """The answer to each check, by name. Blocks for the longest limit among them, and never for more than `total_s`.

    Each check has a process of its own: one that waits in the kernel for a device that hangs can be neither
    interrupted nor waited for, and one that crashes takes nothing with it.
    """
    ends_ns = subject.clock.now_ns() + ns(total_s)
    answers = [Answer(check, subject) for check in checks]
    for answer in answers:
        answer.start()
    return {answer.check.name: answer.wait(ends_ns) for answer in answers}


def chosen(checks: Iterable[Check], wanted: Sequence[str]) -> list[Check]:
    """The checks whose name, or area, is wanted; all if nothing is."""
    return [check for check in checks if not wanted or {check.name, check.name.partition(".")[0]} & set(wanted)]
