"""The bus for a long time under random kills: is a torn message ever taken for whole, is any message unaccounted for?

    python benches/bus_soak.py                 # 20 million messages and 200 000 frames: about a quarter of an hour
    python benches/bus_soak.py --quick         # within 50 s

Processes publish into a ring and read it, each message in order or the newest alone, and are killed (SIGKILL) at
random and started again; one reader lives through. What was sent is what the ring counts, however often its publisher
was killed in the middle of a message. Payloads check themselves, without the ring's own seal.
"""

from __future__ import annotations

import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bus_soak_ends import (
    DROPPED,
    LOST,
    NEXT,
    RECEIVED,
    ROW,
    SKIPPED,
    Ledger,
    read_frames,
    read_messages,
    write_frames,
    write_messages,
)
from rows import Row, at_most, exactly, parse_arguments, report

from cardan.runtime.bus.ring_file import create_ring, open_ring
from cardan.runtime.bus.ring_layout import COUNT

MESSAGES, FRAMES = 20_000_000, 200_000
QUICK_MESSAGES, QUICK_FRAMES = 300_000, 4_000
SLICES = 20
READERS = 4
"""Two that take each message, two the newest alone; the first of them is never killed."""
KILL_EVERY_S = (0.02, 0.12)
CATCH_UP_S = 60.0
LOOKS = 10
NICE = 10
TOPIC = "source/out"


@dataclass
class Outcome:
    """Sums over slices."""

    sent: int = 0
    received: int = 0
    skipped: int = 0
    lost: int = 0
    dropped: int = 0
    unaccounted: int = 0
    wrong: int = 0
    killed_writers: int = 0
    killed_readers: int = 0
    left_files: int = 0
    grown_fds: int = 0
    grown_kib: list[int] = field(default_factory=list)


class Slice:
    """One ring in a folder of its own, and its processes."""

    def __init__(self, frames: bool, target: int, outcome: Outcome) -> None:
        self._frames, self._target, self._outcome = frames, target, outcome
        self._folder = Path(tempfile.mkdtemp(prefix="cardan-soak-", dir="/dev/shm"))
        self._path = self._folder / "r"
        create_ring(self._path, TOPIC)
        self._ring = open_ring(self._path)
        self._page = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        """Ledgers, then the process of each reader, then whether all shall end."""
        self._pids_at = READERS * ROW
        self._stop_at = self._pids_at + READERS
        self._ledgers = [Ledger(self._page[row * ROW : (row + 1) * ROW]) for row in range(READERS)]
        self._readers = [0] * READERS
        self._writer = self._epoch = 0

    def run(self) -> None:
        try:
            for row in range(READERS):
                self._start_reader(row)
            self._start_writer()
            self._kill_until_done()
            self._wind_up()
        finally:
            for pid in [self._writer, *self._readers]:
                if pid:
                    self._kill(pid)
            self._ring.close()
            shutil.rmtree(self._folder)

    def _kill_until_done(self) -> None:
        survivor, settled = self._readers[0], None
        while (sent := self._ring.words[COUNT]) < self._target:
            time.sleep(random.uniform(*KILL_EVERY_S))
            row = random.randrange(2 * READERS)
            if row in range(1, READERS):
                self._outcome.killed_readers += 1
                self._kill(self._readers[row])
                self._start_reader(row)
            elif row >= READERS:
                self._outcome.killed_writers += 1
                self._kill(self._writer)
                self._start_writer()
            if settled is None and sent > self._target // 4:
                settled = usage(survivor)
        if settled is not None:
            fds, kib = usage(survivor)
            self._outcome.grown_fds += fds - settled[0]
            self._outcome.grown_kib.append(kib - settled[1])

    def _wind_up(self) -> None:
        """No more is sent; the readers come to the end, and every number is entered somewhere."""
        self._kill(self._writer)
        self._writer = 0
        self._page[self._stop_at] = 1
        outcome, sent = self._outcome, self._ring.words[COUNT]
        for row, pid in enumerate(self._readers):
            wait_for(pid, CATCH_UP_S)
            self._readers[row] = 0
            values = self._ledgers[row].load()
            outcome.sent += sent
            outcome.received += values[RECEIVED]
            outcome.skipped += values[SKIPPED]
            outcome.lost += values[LOST]
            outcome.dropped += values[DROPPED]
            outcome.unaccounted += abs(sent - sum(values[RECEIVED : DROPPED + 1])) + abs(sent - values[NEXT])
            outcome.wrong += self._ledgers[row].wrong
        outcome.left_files += max(0, len(list(self._folder.iterdir())) - 1 - self._frames)

    def _start_writer(self) -> None:
        self._epoch += 1
        if self._frames:
            self._writer = forked(lambda: write_frames(self._path, self._epoch, READERS, self._lives, lambda: False))
        else:
            self._writer = forked(lambda: write_messages(self._path, lambda: False))

    def _start_reader(self, row: int) -> None:
        ledger, newest = self._ledgers[row], row % 2 == 1
        if self._frames:
            pid = forked(lambda: read_frames(self._path, row, ledger, newest, self._has_ended))
        else:
            pid = forked(lambda: read_messages(self._path, ledger, newest, self._has_ended))
        self._readers[row] = self._page[self._pids_at + row] = pid

    def _lives(self, row: int) -> bool:
        return self._page[self._pids_at + row] != 0

    def _has_ended(self, next_number: int) -> bool:
        return bool(self._page[self._stop_at]) and next_number >= self._ring.words[COUNT]

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for row, reader in enumerate(self._readers):
            if reader == pid:
                self._page[self._pids_at + row] = 0


def forked(work: Callable[[], None]) -> int:
    """A child that does this and ends."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except Exception as error:
        print(f"a child failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def wait_for(pid: int, limit_s: float) -> None:
    """Wait until the child has ended; SystemExit when it has failed or takes too long."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if status:
                raise SystemExit(f"a reader ended with status {status}")
            return
        time.sleep(0.01)
    raise SystemExit("a reader does not come to the end of its ring")


def usage(pid: int) -> tuple[int, int]:
    """Open descriptors (the fewest of some looks: it may be about to open the next pool), and own memory in KiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(("Private_Dirty", "Swap:")))
    counts = []
    for _ in range(LOOKS):
        counts.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
        time.sleep(0.005)
    return min(counts), own


def soak(what: str, frames: bool, target: int, slices: int) -> list[Row]:
    outcome, began_s = Outcome(), time.monotonic()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(slices):
        Slice(frames, target // slices, outcome).run()
        done, took_s = (number + 1) / slices, time.monotonic() - began_s
        text = f"{what}: {outcome.sent // READERS} of {target} sent, {outcome.wrong} wrong, {outcome.unaccounted}"
        print(f"{text} unaccounted, {took_s * (1 / done - 1):.0f} s left", file=sys.stderr, flush=True)
    fds = len(list(Path("/proc/self/fd").iterdir())) - before + outcome.grown_fds
    sent = outcome.sent // READERS
    return [
        Row(f"{what}: sent, to {READERS} readers each", sent, what, f">= {target}", sent >= target),
        exactly(f"{what}: torn or foreign ones that were taken for whole", outcome.wrong, 0, what),
        exactly(f"{what}: neither received nor counted", outcome.unaccounted, 0, what),
        Row(f"{what}: received", outcome.received, what, "shown", True),
        Row(f"{what}: counted as skipped for a newer one", outcome.skipped, what, "shown", True),
        Row(f"{what}: counted as lost (overtaken)", outcome.lost, what, "shown", True),
        Row(f"{what}: counted as dropped (frame reused or gone)", outcome.dropped, what, "shown", True),
        Row(f"{what}: publishers killed", outcome.killed_writers, "kills", "> 0", outcome.killed_writers > 0),
        Row(f"{what}: readers killed", outcome.killed_readers, "kills", "> 0", outcome.killed_readers > 0),
        exactly(f"{what}: descriptors too many at the end", fds, 0, "descriptors"),
        exactly(f"{what}: files too many at the end", outcome.left_files, 0, "files"),
        at_most(f"{what}: growth of the reader that lives through, worst slice", max(outcome.grown_kib, default=0),
                2048, "KiB"),
    ]  # fmt: skip


def main() -> int:
    arguments = parse_arguments(__doc__ or "")
    os.nice(NICE)
    slices = 2 if arguments.quick else SLICES
    messages, frames = (QUICK_MESSAGES, QUICK_FRAMES) if arguments.quick else (MESSAGES, FRAMES)
    rows = soak("frames", True, frames, slices) + soak("messages", False, messages, slices)
    return report("bus_soak", rows, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
