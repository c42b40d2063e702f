"""`cardan topic echo`: print the messages of a topic as they come, or the last ones that are there."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import Any

from cardan.runtime.bus.envelope import Header
from cardan.runtime.cli import units
from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.exits import Exit, NoDataError, UsageError
from cardan.runtime.cli.foreign import decode_foreign, is_long, json_line, text_lines
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.shapes import SCHEMA_VERSION
from cardan.runtime.cli.tap import Heard, Tap, keeps, last_messages, newest_or_none, whole
from cardan.runtime.cli.topics import require_topics
from cardan.runtime.cli.view import state_word
from cardan.runtime.clock import NS_PER_S, Clock, MonotonicClock, ns
from cardan.runtime.vitals import NodeState

WAIT_S = 0.2
QUIET_S = 2.0
"""After so long without a message, a line on stderr says so."""
SENDS = (NodeState.READY, NodeState.RUNNING)


def run(arguments: argparse.Namespace) -> int:
    """Print messages until a limit, Ctrl-C, or the end of the run; 3 when there were none."""
    count = parse_count(arguments.count, "--count") if arguments.count else None
    last = parse_count(arguments.last, "--last") if arguments.last else 0
    longest_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    if last and (count or longest_s):
        raise UsageError("--last shows what is there and ends", hint="leave --count and --for out")
    found = find_run(arguments.data_dir, must_live=not last)
    require_topics(found.plan, arguments.topics)
    topic = arguments.topics[0]
    echo = Echo(found, topic, MonotonicClock(), as_json=arguments.json)
    return int(echo.show_last(last) if last else echo.follow(count, longest_s))


class Echo:
    """One topic, from the first message that is printed to the last."""

    def __init__(self, found: FoundRun, topic: str, clock: Clock, *, as_json: bool) -> None:
        self._found = found
        self._topic = topic
        self._clock = clock
        self._as_json = as_json
        self.printed = 0

    def show_last(self, number: int) -> Exit:
        """Print what is kept of the topic, whatever has become of its publisher."""
        messages = last_messages(self._found, self._topic, number, self._clock)
        if not messages and not keeps(self._found):
            raise NoDataError(
                f"{self._topic} goes over ZeroMQ, which keeps no messages",
                hint='with bus = "ring" in the manifest the last ones can be read',
            )
        if not messages:
            raise NoDataError(
                f"nothing was ever sent on {self._topic}", hint="`cardan status` shows what its node does"
            )
        self._say_who_is_away()
        self._print(messages)
        return Exit.HEALTHY

    def follow(self, count: int | None, longest_s: float | None) -> Exit:
        """Print until a limit is reached or the run ends."""
        with closing(Tap(self._found, self._topic, self._clock)) as tap:
            self._follow(tap, count, longest_s)
            missed = tap.missed
        if missed:
            print(f"{missed} messages came faster than they could be printed", file=sys.stderr)
        if not self.printed:
            raise NoDataError(f"nothing arrived on {self._topic}", hint=self._quiet_hint())
        return Exit.HEALTHY

    def _follow(self, tap: Tap, count: int | None, longest_s: float | None) -> None:
        started_ns = self._clock.now_ns()
        warned = False
        while not self._done(count, longest_s, started_ns) and self._found.lives:
            tap.wait(self._wait_s(longest_s, started_ns))
            self._print(tap.take()[: None if count is None else count - self.printed])
            if not self.printed and not warned and self._clock.now_ns() - started_ns > QUIET_S * NS_PER_S:
                warned = True
                self._say_quiet()

    def _done(self, count: int | None, longest_s: float | None, started_ns: int) -> bool:
        if count is not None and self.printed >= count:
            return True
        return longest_s is not None and self._clock.now_ns() >= started_ns + ns(longest_s)

    def _wait_s(self, longest_s: float | None, started_ns: int) -> float:
        left_s = WAIT_S if longest_s is None else longest_s - (self._clock.now_ns() - started_ns) / NS_PER_S
        return max(0.001, min(WAIT_S, left_s))

    def _say_who_is_away(self) -> None:
        publisher = self._topic.partition("/")[0]
        state = self._found.vitals.nodes[publisher].state
        if not self._found.live:
            print("no run is active; these are messages of the last one", file=sys.stderr)
        elif state not in SENDS:
            print(f"{publisher} is {state_word(state)}; these are its last messages", file=sys.stderr)

    def _say_quiet(self) -> None:
        print(f"nothing on {self._topic} for {QUIET_S:g} s; still waiting", file=sys.stderr)
        print(f"  hint: {self._quiet_hint()}", file=sys.stderr)

    def _quiet_hint(self) -> str:
        newest = newest_or_none(self._found, self._topic, self._clock)
        if newest is None:
            return "`cardan status` shows whether its node runs"
        age = units.age((self._clock.now_ns() - newest.header.sent_ns) / NS_PER_S)
        return f"the last one was sent {age} ago: `cardan topic echo {self._topic} --last 1`"

    def _print(self, messages: list[Heard]) -> None:
        now_ns = self._clock.now_ns()
        for header, payload in messages:
            value = decode_foreign(whole(self._found, payload) if is_long(payload) else payload)
            if self._as_json:
                print(json_line(record(self._topic, header, value, now_ns)))
            else:
                write_lines(message_lines(self._topic, header, value, now_ns), sys.stdout)
            self.printed += 1
        sys.stdout.flush()


def record(topic: str, header: Header, value: Any, now_ns: int) -> dict[str, Any]:
    """One message for JSON Lines: the envelope's facts, then the value."""
    return {
        "schema_version": SCHEMA_VERSION,
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
