"""A worker does what it is asked for; one that hangs or crashes is seen as that, and ends with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cardan.runtime.apart import Work, Worker
from cardan.runtime.readable import readable

WITHIN_S = 10.0


@pytest.fixture
def begin() -> Iterator[Callable[[Work], Worker]]:
    """Makes workers; those that still live at the end are ended."""
    workers: list[Worker] = []

    def make(work: Work) -> Worker:
        workers.append(Worker(work))
        return workers[-1]

    yield make
    for worker in workers:
        try:
            worker.end()
        except OSError:
            continue  # it was ended in the test


def answer(worker: Worker) -> tuple[bytes, bool]:
    """Its whole answer, or that it has ended."""
    said, ended = b"", False
    while not said and not ended:
        assert readable([worker.pipe], WITHIN_S)
        said, ended = worker.take()
    return said, ended


def test_one_process_does_one_task_after_the_other(begin: Callable[[Work], Worker]) -> None:
    worker = begin(lambda number: f"{number} by {os.getpid()}".encode())
    said = []
    for number in (0, 300):
        worker.ask(number)
        said.append(answer(worker)[0].decode().split(" by "))
    assert [number for number, _ in said] == ["0", "300"]
    assert said[0][1] == said[1][1] != str(os.getpid())


def test_a_long_answer_comes_whole(begin: Callable[[Work], Worker]) -> None:
    worker = begin(lambda number: b"x" * number)
    worker.ask(1_000_000)
    assert answer(worker) == (b"x" * 1_000_000 + b"\n", False)


def killed(number: int) -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b"never"


def test_one_that_crashes_says_so_by_how_it_ended(begin: Callable[[Work], Worker]) -> None:
    worker = begin(killed)
    worker.ask(0)
    assert answer(worker) == (b"", True)
    assert worker.end() == -signal.SIGKILL
    other = begin(lambda number: os._exit(3))
    other.ask(1)
    assert answer(other) == (b"", True)
    other.ask(1)  # nobody is there to hear it
    assert other.end() == 3


def hangs(number: int) -> bytes:
    while True:
        time.sleep(1.0)


def test_one_that_does_not_die_is_not_waited_for(
    begin: Callable[[Work], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = begin(hangs)
    worker.ask(0)
    pid = worker._pid
    descriptor = os.pidfd_open(pid)
    with monkeypatch.context() as kernel:  # holds it
        for kill in ("kill", "killpg"):
            kernel.setattr(os, kill, lambda pid, number: None)
        assert worker.end(0.01) is None
    assert not readable([descriptor], 0.0), "it lives"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(descriptor)


def test_what_it_has_started_ends_with_it(begin: Callable[[Work], Worker]) -> None:
    worker = begin(lambda number: str(subprocess.Popen(["sleep", "60"]).pid).encode())
    worker.ask(0)
    child = int(answer(worker)[0])
    assert worker.end() == -signal.SIGKILL
    deadline_s = time.monotonic() + WITHIN_S
    while Path(f"/proc/{child}").exists() and "\nState:\tZ" not in Path(f"/proc/{child}/status").read_text():
        assert time.monotonic() < deadline_s, "it lives on"
