"""One transport at work: a publisher here, its readers in processes of their own, and what a message took and cost.

    python bus_cell.py TRANSPORT BYTES READERS PRIORITY

It says "ready", then answers each line {"messages": N, "rate_hz": R} with one line of figures: sent at that rate, or,
for rate 0, as fast as the readers follow. PRIORITY is that of SCHED_FIFO for all of its processes; 0 leaves them as
they are.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

STAMP = struct.Struct("<QQ")
"""What every message begins with: number and time of sending."""
END, STOP, TIMED, COUNTED = (2**64 - number for number in range(1, 5))
"""Numbers of the messages that tell the readers what comes next."""
LAG, LAG_BYTES, LOOK_AT = 2000, 1 << 18, 64
"""Messages, and bytes, that the slowest reader may be behind, and how often that is looked at."""
SETTLE_S, PAUSE_S = 0.3, 0.002
"""After the start, and between what the readers are told and the messages: an input of the newest value alone must
not miss it."""
WARM_UP = 30

OnMessage = Callable[[Any], bool]
"""Gets the bytes of one message; True when it was the last one."""


class Transport(Protocol):
    """One way from a process to others. Made before the readers are forked."""

    def open_publisher(self) -> None: ...

    def open_reader(self, index: int) -> None: ...

    def send(self, number: int) -> None:
        """Stamp one message and hand it over."""

    def read(self, on_message: OnMessage) -> None:
        """Wait for messages until the last one."""

    def close(self) -> None: ...


def make(name: str, size: int, readers: int) -> Transport:
    """The transport `MODULE:CLASS`."""
    module, _, kind = name.partition(":")
    transport: Transport = getattr(import_module(module), kind)(size, readers)
    return transport


class Listener:
    """What one reader does with its messages: take the time of each, or count them."""

    def __init__(self, index: int, results: int, progress: memoryview) -> None:
        self._index = index
        self._results = results
        self._progress = progress
        self._latencies_ns: list[int] = []
        self._counted = 0
        self._timed = False
        self._began_ns = 0

    def on_message(self, data: Any) -> bool:
        arrived_ns = time.monotonic_ns()
        number, sent_ns = STAMP.unpack_from(data)
        if number >= COUNTED:
            return self._told(number)
        if self._timed:
            self._latencies_ns.append(arrived_ns - sent_ns)
            return False
        self._counted += 1
        if not self._counted % LOOK_AT:
            self._progress[self._index] = self._counted
        return False

    def _told(self, number: int) -> bool:
        if number in (TIMED, COUNTED):
            self._timed, self._latencies_ns, self._counted = number == TIMED, [], 0
            self._progress[self._index] = 0
            self._began_ns = time.process_time_ns()
        elif number == END:
            cpu_ns = time.process_time_ns() - self._began_ns
            say(self._results, {"latencies_ns": self._latencies_ns, "counted": self._counted, "cpu_ns": cpu_ns})
        return number == STOP


def say(descriptor: int, document: dict[str, Any]) -> None:
    left = memoryview(json.dumps(document).encode() + b"\n")
    while left:
        left = left[os.write(descriptor, left) :]


class Cell:
    """The publisher's side of one cell."""

    def __init__(self, transport: Transport, size: int, readers: int) -> None:
        self._transport = transport
        self._lag = min(LAG, LAG_BYTES // size)
        self._progress = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self._results = []
        self._readers = readers
        for index in range(readers):
            ours, theirs = os.pipe()
            if os.fork() == 0:
                self._be_reader(index, theirs)
            os.close(theirs)
            self._results.append(os.fdopen(ours))
        transport.open_publisher()
        for result in self._results:
            result.readline()
        time.sleep(SETTLE_S)
        self._begin(TIMED)
        self._send_paced(WARM_UP, 1000.0)
        self._end()
        freeze()

    def _be_reader(self, index: int, results: int) -> None:
        try:
            self._transport.open_reader(index)
            freeze()
            say(results, {"ready": index})
            self._transport.read(Listener(index, results, self._progress).on_message)
        finally:
            os._exit(0)

    def measure(self, messages: int, rate_hz: float) -> dict[str, Any]:
        """Send so many messages; microseconds one way, and processor time of both ends for each message."""
        self._begin(TIMED if rate_hz else COUNTED)
        began_ns = time.process_time_ns()
        if rate_hz:
            self._send_paced(messages, rate_hz)
        else:
            self._send_at_once(messages)
        cpu_ns = time.process_time_ns() - began_ns
        answers = self._end()
        latencies_ns = sorted(latency for answer in answers for latency in answer["latencies_ns"])
        got = len(latencies_ns) + sum(answer["counted"] for answer in answers)
        cpu_ns += sum(answer["cpu_ns"] for answer in answers)
        return {
            "p50_us": quantile(latencies_ns, 0.5) / 1000,
            "p99_us": quantile(latencies_ns, 0.99) / 1000,
            "cpu_us": cpu_ns / messages / 1000,
            "missing": messages * self._readers - got,
        }

    def _send_paced(self, messages: int, rate_hz: float) -> None:
        next_s = time.monotonic()
        for number in range(messages):
            next_s += 1 / rate_hz
            time.sleep(max(0.0, next_s - time.monotonic()))
            self._transport.send(number)

    def _send_at_once(self, messages: int) -> None:
        """The reader that is slowest sets the pace: none is left behind for long."""
        send, progress, readers = self._transport.send, self._progress, range(self._readers)
        for number in range(messages):
            if not number % LOOK_AT:
                while number - min(progress[index] for index in readers) > self._lag:
                    time.sleep(0.0002)
            send(number)

    def _begin(self, number: int) -> None:
        self._transport.send(number)
        time.sleep(PAUSE_S)

    def _end(self) -> list[dict[str, Any]]:
        time.sleep(PAUSE_S)
        self._transport.send(END)
        return [json.loads(result.readline()) for result in self._results]

    def close(self) -> None:
        self._transport.send(STOP)
        for _ in range(self._readers):
            os.wait()
        self._transport.close()


def freeze() -> None:
    """No collection of garbage from here on."""
    gc.collect()
    gc.freeze()
    gc.disable()


def quantile(ordered: list[int], fraction: float) -> float:
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else float("nan")


def main(name: str, size: int, readers: int, priority: int) -> None:
    if priority:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    transport = make(name, size, readers)
    # What needs no reader measures itself.
    cell: Any = transport if hasattr(transport, "measure") else Cell(transport, size, readers)
    say(1, {"ready": True})
    for line in sys.stdin:
        say(1, cell.measure(**json.loads(line)))
    cell.close()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
