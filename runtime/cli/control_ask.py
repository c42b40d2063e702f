"""`cardan control arm|disarm|reset`: a person asks the bridge, and sees every arming check with what to do about it."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import Literal

import msgspec

from cardan.runtime.cli.control_causes import CONTROLLED, meaning
from cardan.runtime.cli.control_facts import verdict_topic
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import Clock, MonotonicClock, ns
from cardan.runtime.control_port import Answer, Ask, ask, port_path

ANSWER_S = 1.0
"""A bridge answers in the period in which it is asked."""
DECISION_S = 12.0
"""So long the arming checks may take at most (`pre_enable_s` of the bridge, at most 10 s), and a little more."""
POLL_NS = 20_000_000

Verb = Literal["check", "arm", "disarm", "reset"]


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print how the bridge stands; 4 when it does not do what it was asked."""
    found = find_run(arguments.data_dir, must_live=True)
    person = Person(port_of(found), MonotonicClock())
    verb = arguments.command.split()[1]
    if verb == "disarm":
        return _show(arguments, person.ask("disarm"), "disarmed", "disabled")
    if verb == "reset":
        return _reset(arguments, person)
    return _arm(arguments, person)


def port_of(found: FoundRun) -> Path:
    """The control port of the bridge of a live run; NoDataError when the vehicle has no bridge."""
    if found.bus_dir is None:
        raise NoDataError("no run is active", hint="start one with `cardan up`")
    return port_path(found.bus_dir.parent, verdict_topic(found.plan).partition("/")[0])


class Person:
    """Somebody at the command line. Each call waits at most ANSWER_S, `arm` as long as the checks may take."""

    def __init__(self, port: Path, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._who = user_name()

    def ask(self, verb: Verb) -> Answer:
        return ask(self._port, Ask(verb=verb, who=self._who), ANSWER_S)

    def arm(self) -> Answer:
        """Ask to engage and wait for the decision."""
        answer = self.ask("arm")
        ends_ns = self._clock.now_ns() + ns(DECISION_S)
        while answer.engagement == "pre-enabled" and self._clock.now_ns() < ends_ns:
            self._clock.sleep_until_ns(self._clock.now_ns() + POLL_NS)
            answer = self.ask("check")
        return answer


def user_name() -> str:
    """Who sits at the command line."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"uid-{os.getuid()}"


def _arm(arguments: argparse.Namespace, person: Person) -> int:
    if arguments.yes:
        return _show(arguments, person.arm(), "armed", "enabled")
    answer = person.ask("check")
    if answer.engagement in CONTROLLED:
        return _show(arguments, answer, "already armed", answer.engagement)
    ready = answer.engagement == "disabled" and all(check.passed for check in answer.checks)
    return _show(arguments, answer, "ready to arm: add --yes" if ready else "not ready to arm", "disabled", ready)


def _reset(arguments: argparse.Namespace, person: Person) -> int:
    answer = person.ask("check")
    if answer.engagement != "fault-latched":
        return _show(arguments, answer, "no fault is latched", answer.engagement)
    if not arguments.yes:
        return _show(arguments, answer, "not reset: is the cause known? then add --yes", "", False)
    return _show(arguments, person.ask("reset"), "reset", "disabled")


def _show(arguments: argparse.Namespace, answer: Answer, done: str, wanted: str, healthy: bool = True) -> int:
    """Print the answer. wanted: the engagement in which what was asked is done."""
    done_now = healthy and answer.engagement == wanted
    if arguments.json:
        document = {"schema_version": 1, "done": done_now, **msgspec.to_builtins(answer)}
        print(msgspec.json.encode(document).decode())
    else:
        write_lines(answer_lines(answer, done if done_now or not healthy else "refused", done_now), sys.stdout)
    return int(Exit.HEALTHY if done_now else Exit.REFUSED)


def answer_lines(answer: Answer, head: str, healthy: bool) -> list[Line]:
    """The outcome, how the bridge stands, and every check; what to do stands under a check that has not passed."""
    said, hint = meaning(answer.cause)
    lines = [
        Line(f"{head}  ({safe_text(answer.engagement)})", "good" if healthy else "bad"),
        Line(f"  cause  {safe_text(answer.cause)}{f': {said}' if said else ''}"),
        *([Line(f"  hint: {hint}", "faint")] if hint and not healthy else []),
    ]
    width = max((len(check.name) for check in answer.checks), default=0)
    for check in answer.checks:
        mark = "ok  " if check.passed else "FAIL"
        lines.append(Line(f"  {mark} {safe_text(check.name):<{width}}  {safe_text(check.text)}", _role(check.passed)))
        if not check.passed:
            lines.append(Line(f"       {'':<{width}}  hint: {safe_text(check.hint)}", "faint"))
    return lines


def _role(passed: bool) -> Literal["plain", "bad"]:
    return "plain" if passed else "bad"
