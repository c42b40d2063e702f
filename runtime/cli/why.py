"""`cardan why`: why something happened, from recorded facts, of a run that is active, hangs, or has ended."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.cli.moments import clock_text, date_text
from cardan.runtime.cli.place import place_of
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.why.answer import Answer, Fact, Signals, last_line
from cardan.runtime.why.evidence import evidence_of

SIGNALS_HEAD = ("", "engagement", "speed", "steering", "accel", "verdict on the command")
ROLES = {"error": "bad", "warning": "warning"}


def run(arguments: argparse.Namespace) -> int:
    """Print the answer; 1 when something was wrong, 0 when nothing was or a person wanted it so."""
    place = place_of(arguments)
    found = find_run(place)
    evidence = evidence_of(found, place.at_ns, MonotonicClock())
    question = import_module(f"cardan.runtime.why.{arguments.command.split()[1]}")
    subject = getattr(arguments, "subject", None)
    answer: Answer = question.answer(evidence, subject) if subject else question.answer(evidence)
    if arguments.json:
        document = {**msgspec.to_builtins(answer), "run": found.run_id, "live": found.live}
        print(msgspec.json.encode(document).decode())
    else:
        write_lines(answer_lines(answer), sys.stdout)
        print(f"run {found.run_id}{_how_it_is(found)}", file=sys.stderr)
    return int(Exit.HEALTHY if answer.healthy else Exit.FINDING)


def _how_it_is(found: FoundRun) -> str:
    if found.bundle is not None:
        return f", as it was when bundle {found.bundle.id} was made"
    return "" if found.live else ", which has ended"


def answer_lines(answer: Answer) -> list[Line]:
    """The verdict, what it means and what helps; then chain, facts, what is missing, and what was around."""
    lines = [Line(safe_text(answer.verdict), "good" if answer.healthy else "bad")]
    lines += [Line(f"  {safe_text(answer.means)}")] if answer.means else []
    lines += [Line(f"  try: {safe_text(answer.hint)}", "warning")] if answer.hint else []
    lines += _section("chain", _fact_lines(answer.chain))
    lines += _section("facts", [Line(f"  {safe_text(text)}") for text in answer.facts])
    lines += [Line(f"not recorded: {safe_text(text)}", "faint") for text in answer.missing]
    lines += _section("signals", _signal_lines(answer.signals))
    when = f" {date_text(answer.moment_ns)} UTC" if answer.moment_ns is not None else ""
    return lines + _section(f"five seconds around{when}", _fact_lines(answer.around))


def _section(title: str, lines: list[Line]) -> list[Line]:
    return [Line(""), Line(title, "title"), *lines] if lines else []


def _fact_lines(facts: list[Fact]) -> list[Line]:
    width = max((len(fact.who) for fact in facts), default=0)
    codes = max((len(fact.code) for fact in facts), default=0)
    return [
        Line(
            f"  {fact.after_s:+8.3f} s  {clock_text(fact.wall_ns)}  {safe_text(fact.who):<{width}}  "
            f"{safe_text(fact.code):<{codes}}  {safe_text(last_line(fact.text))}",
            ROLES.get(fact.level, "plain"),
        )
        for fact in facts
    ]


def _signal_lines(signals: list[Signals]) -> list[Line]:
    if not signals:
        return []
    rows = [
        (
            f"{row.after_s:+.0f} s",
            safe_text(row.engagement or units.NOTHING),
            _number(row.speed_mps, "m/s", 1),
            _number(row.steering_rad, "rad", 4),
            _number(row.accel_mps2, "m/s2", 2),
            safe_text(row.reason or units.NOTHING),
        )
        for row in signals
    ]
    return [Line(f"  {text}") for text in table(SIGNALS_HEAD, rows, "><>>><")]


def _number(value: float | None, unit: str, digits: int) -> str:
    return units.NOTHING if value is None else f"{value:.{digits}f} {unit}"
