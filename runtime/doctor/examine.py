"""Run all checks, side by side, each within its time; those of others are found by the entry point `cardan.checks`.

An entry point names a tuple of Check. What one check does, or fails to do, never keeps another from its answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.doctor.asked import Asked
from cardan.runtime.doctor.check import Check, Result, Subject, unknown
from cardan.runtime.readable import readable

GROUP = "cardan.checks"
TOTAL_S = 8.5
"""Of all checks together, where nobody says otherwise."""
OURS = "cardan."
QUICK_S = 2.0
PATIENCE_NS = ns(0.1)
"""After so long without an answer the checks that wait get another process."""


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

    One that waits in the kernel for a device that hangs can be neither interrupted nor waited for, and one that crashes
    takes its process with it. So checks are made in processes: those of others, and those that may take long, each in
    its own; ours that are quick in one after the other, of which the next begins another where one does not answer.
    """
    return _Examination(checks, subject, subject.clock.now_ns() + ns(total_s)).results()


class _Examination:
    def __init__(self, checks: Sequence[Check], subject: Subject, ends_ns: int) -> None:
        self._checks = checks
        self._subject = subject
        self._ends_ns = ends_ns
        self._results: dict[str, Result] = {}
        self._waiting = deque(number for number, check in enumerate(checks) if shares(check))
        self._sharing: list[Asked] = []
        self._asked = [self._begin(number) for number, check in enumerate(checks) if not shares(check)]

    def results(self) -> dict[str, Result]:
        """Blocks."""
        now_ns = self._subject.clock.now_ns()
        while (self._waiting or self._asked) and now_ns < self._ends_ns:
            self._hand_out(now_ns)
            ready = set(readable([asked.pipe for asked in self._asked], self._patience_s(now_ns)))
            for asked in [asked for asked in self._asked if asked.pipe in ready]:
                self._hear(asked)
            now_ns = self._subject.clock.now_ns()
            self._give_up(now_ns)
        self._give_up(self._ends_ns)
        for asked in self._sharing:
            asked.end()
        late = unknown("there was no time for it: others have hung", "`cardan doctor NAME` makes this check alone")
        return {check.name: self._results.get(check.name, late) for check in self._checks}

    def _begin(self, number: int) -> Asked:
        asked = Asked(self._checks, self._subject)
        asked.ask(number, self._ends_ns)
        return asked

    def _hand_out(self, now_ns: int) -> None:
        """Give a check to a process that has none, or to a new one where all that share are silent for a while."""
        busy = [asked for asked in self._asked if asked in self._sharing]
        idle = next((asked for asked in self._sharing if asked.check is None), None)
        if not self._waiting or (idle is None and any(now_ns - asked.since_ns < PATIENCE_NS for asked in busy)):
            return
        if idle is None:
            idle = self._begin(self._waiting.popleft())
            self._sharing.append(idle)
        else:
            idle.ask(self._waiting.popleft(), self._ends_ns)
        self._asked.append(idle)

    def _patience_s(self, now_ns: int) -> float:
        """Until somebody is given up, or the next process is begun."""
        left_ns = min(asked.left_ns(now_ns) for asked in self._asked)
        return min(left_ns, PATIENCE_NS if self._waiting else left_ns) / NS_PER_S

    def _hear(self, asked: Asked) -> None:
        check = asked.check
        result, lives = asked.look()
        if check is None or result is None:
            return
        self._results[check.name] = result
        self._asked.remove(asked)
        if asked not in self._sharing:
            if lives:
                asked.end()
        elif not lives:
            self._sharing.remove(asked)

    def _give_up(self, now_ns: int) -> None:
        for asked in list(self._asked):
            if asked.check is not None and asked.left_ns(now_ns) <= 0:
                self._results[asked.check.name] = asked.give_up()
                self._asked.remove(asked)
                if asked in self._sharing:
                    self._sharing.remove(asked)


def shares(check: Check) -> bool:
    """True for one that may be made in a process that has made others before."""
    return check.limit_s <= QUICK_S and getattr(check.run, "__module__", "").startswith(OURS)


def chosen(checks: Iterable[Check], wanted: Sequence[str]) -> list[Check]:
    """The checks whose name, or area, is wanted; all if nothing is."""
    return [check for check in checks if not wanted or {check.name, check.name.partition(".")[0]} & set(wanted)]
