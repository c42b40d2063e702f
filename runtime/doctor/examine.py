"""Run all checks, side by side, each within its time; those of others are found by the entry point `cardan.checks`.

An entry point names a tuple of Check. What one check does, or fails to do, never keeps another from its answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.doctor.check import Check, Result, Subject, unknown
from cardan.runtime.errors import CardanError

GROUP = "cardan.checks"


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


def examine(checks: Sequence[Check], subject: Subject) -> dict[str, Result]:
    """The answer to each check, by name. Blocks for the longest limit among them."""
    answers = [_Answer(check, subject) for check in checks]
    for answer in answers:
        answer.start()
    return {answer.check.name: answer.wait() for answer in answers}


class _Answer:
    """One check on a thread of its own. A thread that hangs is left behind: it dies with the process."""

    def __init__(self, check: Check, subject: Subject) -> None:
        self.check = check
        self._subject = subject
        self._result: Result | None = None
        self._started_ns = 0
        self._thread = threading.Thread(target=self._run, name=check.name, daemon=True)

    def start(self) -> None:
        self._started_ns = self._subject.clock.now_ns()
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self.check.run(self._subject)
        except CardanError as error:
            self._result = unknown(error.message, error.hint or "")
        except Exception as error:  # a check must not take the others with it
            self._result = unknown(f"the check itself failed: {type(error).__name__}: {error}")

    def wait(self) -> Result:
        ends_ns = self._started_ns + ns(self.check.limit_s)
        self._thread.join(max(0.0, (ends_ns - self._subject.clock.now_ns()) / NS_PER_S))
        if self._result is not None:
            return self._result
        return unknown(f"no answer within {self.check.limit_s:g} s", "something it looks at hangs: `dmesg | tail`")


def chosen(checks: Iterable[Check], wanted: Sequence[str]) -> list[Check]:
    """The checks whose name, or area, is wanted; all if nothing is."""
    return [check for check in checks if not wanted or {check.name, check.name.partition(".")[0]} & set(wanted)]
