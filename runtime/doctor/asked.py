"""Checks that are being made: each in a process that may hang or crash, and each answered in time or not at all."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import msgspec

from cardan.runtime.apart import Worker
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.doctor.check import Check, Result, Subject, unknown
from cardan.runtime.errors import CardanError


class Asked:
    """One process that makes checks, and the check that it is at. `ask`, then `look` when its pipe is readable."""

    def __init__(self, checks: Sequence[Check], subject: Subject) -> None:
        self._checks = checks
        self._subject = subject
        self._worker = Worker(lambda number: msgspec.json.encode(answer_of(checks[number], subject)))
        self.check: Check | None = None
        """None while it is idle."""
        self.since_ns = self._ends_ns = 0

    @property
    def pipe(self) -> int:
        return self._worker.pipe

    def ask(self, number: int, ends_ns: int) -> None:
        """Let it make a check, which has its own limit, and `ends_ns` at the latest."""
        self.check = self._checks[number]
        self.since_ns = self._subject.clock.now_ns()
        self._ends_ns = min(ends_ns, self.since_ns + ns(self.check.limit_s))
        self._worker.ask(number)

    def left_ns(self, now_ns: int) -> int:
        """Until the present check is given up."""
        return self._ends_ns - now_ns

    def look(self) -> tuple[Result | None, bool]:
        """The answer, None until it is whole; and whether the process is there for another check."""
        said, ended = self._worker.take()
        if ended:
            return self._of_the_dead(), False
        if not said:
            return None, True
        self.check = None
        return msgspec.json.decode(said, type=Result), True

    def give_up(self) -> Result:
        """It takes too long: the process is killed. One that is stuck in the kernel does not even die; nobody waits."""
        self._worker.end(0.0)
        after_s = (self._ends_ns - self.since_ns) / NS_PER_S
        return unknown(f"no answer within {after_s:.3g} s", "something it looks at hangs: `dmesg | tail`")

    def end(self) -> None:
        self._worker.end()

    def _of_the_dead(self) -> Result:
        code = self._worker.end()
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return unknown(f"the check itself ended: {how}", "what it looks at may be broken: `dmesg | tail`")


def answer_of(check: Check, subject: Subject) -> Result:
    """Make the check; whatever it raises becomes `unknown`."""
    try:
        return check.run(subject)
    except CardanError as error:
        return unknown(error.message, error.hint or "")
    except Exception as error:  # a check must not take the others with it
        return unknown(f"the check itself failed: {type(error).__name__}: {error}")
