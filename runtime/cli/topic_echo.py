"""`cardan topic echo`: subscribe to a topic as any program may, and print its messages."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from typing import Any

from cardan.runtime.bus.envelope import HEADER_SIZE, Header, unpack
from cardan.runtime.bus.tail import open_tail
from cardan.runtime.cli import units
from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.foreign import decode_foreign, json_line, text_lines
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.topics import require_topics
from cardan.runtime.clock import NS_PER_S, Clock, MonotonicClock, ns
from cardan.runtime.run import RunPaths, is_alive

WAIT_S = 0.2
QUIET_S = 2.0
"""After so long without a message, a line on stderr says so."""


def run(arguments: argparse.Namespace) -> int:
    """Print messages until a limit, Ctrl-C, or the end of the run; 3 when none came."""
    count = parse_count(arguments.count, "--count") if arguments.count else None
    longest_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    found = find_run(None, must_live=True)
    require_topics(found.plan, arguments.topics)
    echo = _Echo(found, arguments.topics[0], MonotonicClock(), as_json=arguments.json)
    try:
        return int(echo.run(count, longest_s))
    finally:
        echo.close()


class _Echo:
    """One subscription, from its first message to its last."""

    def __init__(self, found: FoundRun, topic: str, clock: Clock, *, as_json: bool) -> None:
        self._topic = topic
        self._clock = clock
        self._as_json = as_json
        self._paths = RunPaths((found.bus_dir or found.data_dir).parent, found.data_dir)
        self._tail = open_tail(found.plan, self._paths.bus, [topic], clock)
        self._waiting: deque[bytes] = deque()
        self.printed = 0

    def run(self, count: int | None, longest_s: float | None) -> Exit:
        """Print until a limit is reached or the run ends."""
        started_ns = self._clock.now_ns()
        warned = False
        while not self._done(count, longest_s, started_ns) and is_alive(self._paths):
            self._tail.wait(self._wait_s(longest_s, started_ns))
            self._tail.drain(self._deliver)
            self._print(count)
            if not self.printed and not warned and self._clock.now_ns() - started_ns > QUIET_S * NS_PER_S:
                warned = True
                print(f"nothing on {self._topic} for {QUIET_S:g} s; still waiting", file=sys.stderr)
        if not self.printed:
            raise NoDataError(f"nothing arrived on {self._topic}", hint="`cardan status` shows whether its node runs")
        return Exit.HEALTHY

    def _done(self, count: int | None, longest_s: float | None, started_ns: int) -> bool:
        if count is not None and self.printed >= count:
            return True
        return longest_s is not None and self._clock.now_ns() >= started_ns + ns(longest_s)

    def _wait_s(self, longest_s: float | None, started_ns: int) -> float:
        left_s = WAIT_S if longest_s is None else longest_s - (self._clock.now_ns() - started_ns) / NS_PER_S
        return max(0.001, min(WAIT_S, left_s))

    def _deliver(self, topic: str, message: bytes) -> None:
        self._waiting.append(message)

    def _print(self, count: int | None) -> None:
        while self._waiting and (count is None or self.printed < count):
            message = self._waiting.popleft()
            header, value, now_ns = unpack(message), decode_foreign(message[HEADER_SIZE:]), self._clock.now_ns()
            if self._as_json:
                print(json_line(record(self._topic, header, value, now_ns)))
            else:
                write_lines(message_lines(self._topic, header, value, now_ns), sys.stdout)
            self.printed += 1
        self._waiting.clear()
        sys.stdout.flush()

    def close(self) -> None:
        self._tail.close()


def record(topic: str, header: Header, value: Any, now_ns: int) -> dict[str, Any]:
    """One message for JSON Lines: the envelope's facts, then the value."""
    return {
        "topic": topic,
        "seq": header.seq,
        "epoch": header.epoch,
        "valid": header.valid,
        "age_s": round((now_ns - header.sent_ns) / NS_PER_S, 6),
        "origin_age_s": round((now_ns - header.origin_ns) / NS_PER_S, 6),
        "sent_ns": header.sent_ns,
        "origin_ns": header.origin_ns,
        "value": value,
    }


def message_lines(topic: str, header: Header, value: Any, now_ns: int) -> list[Line]:
    """One message for a person."""
    sent, origin = (units.age((now_ns - stamp_ns) / NS_PER_S) for stamp_ns in (header.sent_ns, header.origin_ns))
    validity = "valid" if header.valid else "not valid"
    head = f"{topic}  seq {header.seq}  epoch {header.epoch}  sent {sent} ago  origin {origin} ago  {validity}"
    return [Line(head, "title" if header.valid else "warning"), *(Line(text) for text in text_lines(value))]
