"""One check in a process of its own, and its answer, which comes in time or not at all."""

from __future__ import annotations

import os
import signal
import warnings
from contextlib import suppress

import msgspec

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.doctor.check import Check, Result, Subject, unknown
from cardan.runtime.errors import CardanError
from cardan.runtime.readable import readable

READ_BYTES = 65536


class Answer:
    """`start`, then `wait`. Not thread-safe."""

    def __init__(self, check: Check, subject: Subject) -> None:
        self.check = check
        self._subject = subject
        self._started_ns = 0
        self._pid = -1
        self._pipe = -1

    def start(self) -> None:
        """Let the check begin."""
        self._started_ns = self._subject.clock.now_ns()
        self._pipe, write_end = os.pipe2(os.O_CLOEXEC)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of forks beside threads: the child only runs the check
            self._pid = os.fork()
        if self._pid == 0:
            self._be_the_child(write_end)
        os.close(write_end)
        with suppress(OSError):  # both sides do it: whoever comes first
            os.setpgid(self._pid, self._pid)

    def _be_the_child(self, write_end: int) -> None:
        """Never returns."""
        code = 1
        try:
            os.setpgid(0, 0)
            os.close(self._pipe)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):  # whoever reads our output must not wait for a check that never ends
                os.dup2(nowhere, number)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            message = memoryview(msgspec.json.encode(answer_of(self.check, self._subject)))
            while message:
                message = message[os.write(write_end, message) :]
            code = 0
        finally:
            os._exit(code)

    def wait(self, ends_ns: int) -> Result:
        """The answer; `unknown` when it has not come in time, until `ends_ns` at the latest. Blocks so long."""
        due_ns = min(ends_ns, self._started_ns + ns(self.check.limit_s))
        text, ended = b"", False
        while not ended:
            left_s = (due_ns - self._subject.clock.now_ns()) / NS_PER_S
            if not readable([self._pipe], left_s):
                break
            part = os.read(self._pipe, READ_BYTES)
            text, ended = text + part, not part
        os.close(self._pipe)
        return self._judge(text) if ended else self._given_up((due_ns - self._started_ns) / NS_PER_S)

    def _given_up(self, after_s: float) -> Result:
        """One that is stuck in the kernel does not even die: it is nobody's to wait for when we are gone."""
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)  # with what the check has started
        os.waitpid(self._pid, os.WNOHANG)
        return unknown(f"no answer within {after_s:.3g} s", "something it looks at hangs: `dmesg | tail`")

    def _judge(self, text: bytes) -> Result:
        _, status = os.waitpid(self._pid, 0)
        try:
            return msgspec.json.decode(text, type=Result)
        except msgspec.DecodeError:
            code = os.waitstatus_to_exitcode(status)
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return unknown(f"the check itself ended: {how}", "what it looks at may be broken: `dmesg | tail`")


def answer_of(check: Check, subject: Subject) -> Result:
    """Make the check; whatever it raises becomes `unknown`."""
    try:
        return check.run(subject)
    except CardanError as error:
        return unknown(error.message, error.hint or "")
    except Exception as error:  # a check must not take the others with it
        return unknown(f"the check itself failed: {type(error).__name__}: {error}")
