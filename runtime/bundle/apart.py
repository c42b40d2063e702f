"""Collectors apart: one process runs them one after the other, and only as long as it answers.

One that hangs or crashes takes its process with it and nothing else; the next one gets a new process. That way what
collectors need is imported once, and a fork is paid for once.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cardan.runtime.apart import Worker
from cardan.runtime.bundle.collectors import Collector, collect_or_why
from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.pace import used_ns
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.readable import readable

LONGEST_TEXT = 2000


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What the process says of one collector."""

    ok: bool
    text: str
    used_ns: int
    """Processor time of the process so far."""


class Apart:
    """A context: what is left of its process at the end is killed. Not thread-safe."""

    def __init__(self, job: Job, collectors: Sequence[Collector]) -> None:
        self._job = job
        self._collectors = collectors
        self._worker: Worker | None = None
        self.used_ns = 0
        """Processor time of the process that is alive, as of its last answer."""

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def collect(self, number: int) -> tuple[bool, str]:
        """Run one of the collectors: whether all is well, and what it has or why not.

        Blocks for its limit, and for a second more when its process has to be killed.
        """
        worker = self._worker = self._worker or Worker(self._work)
        limit_s = self._collectors[number].limit_s
        worker.ask(number)
        said, ended = self._wait(worker, limit_s)
        try:
            answer = msgspec.json.decode(said, type=Answer)
        except msgspec.MsgspecError:
            gone = self._end()
            if ended:
                return False, "it ended without an answer"
            hangs = "something hangs" if gone else "something hangs, and not even SIGKILL ends it: `dmesg | tail`"
            return False, f"no answer within {limit_s:g} s: {hangs}"
        self.used_ns = answer.used_ns
        return answer.ok, answer.text

    def _wait(self, worker: Worker, limit_s: float) -> tuple[bytes, bool]:
        """Its answer, empty when none comes in time; and whether it has ended."""
        clock = self._job.clock
        said, ended, ends_ns = b"", False, clock.now_ns() + ns(limit_s)
        while not said and not ended and readable([worker.pipe], (ends_ns - clock.now_ns()) / NS_PER_S):
            said, ended = worker.take()
        return said, ended

    def _work(self, number: int) -> bytes:
        """In the process."""
        ok, text = collect_or_why(self._collectors[number], self._job)
        return msgspec.json.encode(Answer(ok, text[:LONGEST_TEXT], used_ns()))

    def _end(self) -> bool:
        """Kill the process; False when the kernel holds it even then, and nobody waits for it any longer."""
        worker, self._worker, self.used_ns = self._worker, None, 0
        return worker is None or worker.end() is not None
