"""`cardan replay`: give nodes what they were given then, and compare what they say with what they said."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.foreign import json_safe
from cardan.runtime.cli.lines import Line, cut, safe_text, table, write_lines
from cardan.runtime.cli.record_files import find_files
from cardan.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cardan.runtime.replay.compare import Comparison, Difference
from cardan.runtime.replay.outcome import Outcome
from cardan.runtime.replay.play import replay
from cardan.runtime.replay.recorded import plan_of

HEAD = ("output", "recorded", "replayed", "equal", "")
PROGRESS_EVERY_NS = NS_PER_S
LONGEST_VALUE = 40
"""A picture is a long text."""


def run(arguments: argparse.Namespace) -> int:
    """Replay and print; 1 when an output differs, 3 when there is nothing to replay."""
    paths = find_files(arguments.recording, None)
    if not arguments.node:
        names = ", ".join(node.name for node in plan_of(paths).nodes if node.inputs)
        raise UsageError("which node is to be replayed?", hint=f"--node NAME, one of {names}")
    clock = MonotonicClock()
    pace = _Pace(_rate(arguments.rate), clock)
    with tempfile.TemporaryDirectory(prefix="cardan-replay-") as folder:
        outcome = replay(paths, arguments.node, Path(folder), pace.follow)
    pace.done()
    if arguments.out:
        _write(outcome, Path(arguments.out))
    if arguments.json:
        print(msgspec.json.encode(json_safe(document(outcome))).decode())
    else:
        write_lines(lines(outcome), sys.stdout)
    same = all(comparison.is_same for comparison in outcome.comparisons) and not outcome.trouble
    return int(Exit.HEALTHY if same else Exit.FINDING)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1000:
        raise UsageError(f'--rate "{text}": expected a factor from 0 (as fast as possible) to 1000', hint="--rate 1")
    return rate


class _Pace:
    """Keeps the replay at a multiple of the recorded time, and says how far it has come."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._first_ns = 0
        self._began_ns = self._said_ns = clock.now_ns()
        self._spoke = False

    def follow(self, share: float, recorded_ns: int) -> None:
        """Wait until it is time for this moment of the recording."""
        self._first_ns = self._first_ns or recorded_ns
        if self._rate:
            elapsed_ns = round((recorded_ns - self._first_ns) / self._rate)
            self._clock.sleep_until_ns(self._began_ns + elapsed_ns)
        now_ns = self._clock.now_ns()
        if sys.stderr.isatty() and now_ns - self._said_ns >= PROGRESS_EVERY_NS:
            self._said_ns, self._spoke = now_ns, True
            print(f"\r{share:4.0%}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._spoke:
            print("\r    \r", end="", file=sys.stderr, flush=True)


def lines(outcome: Outcome) -> list[Line]:
    """The verdict, a table of outputs, and the first difference of each."""
    same = all(comparison.is_same for comparison in outcome.comparisons) and not outcome.trouble
    span_s = (outcome.to_ns - outcome.from_ns) / NS_PER_S
    verdict = "the same as recorded" if same else "not the same as recorded"
    how = "step by step" if outcome.by_steps else "by the moments of sending"
    shown = [Line(f"{verdict}  {span_s:.1f} s, {outcome.fed} messages fed, {how}", "good" if same else "warning")]
    if outcome.trouble:
        shown.append(Line(f"  {safe_text(outcome.trouble)}", "bad"))
    if outcome.unreadable:
        shown.append(Line(f"  {outcome.unreadable} recorded messages could not be read", "warning"))
    head, *rows = table(HEAD, [_cells(comparison) for comparison in outcome.comparisons], "<>>><")
    return [*shown, Line(head, "title"), *(Line(row) for row in rows)]


def _cells(comparison: Comparison) -> tuple[str, ...]:
    what = _words("first", comparison.first)
    if comparison.largest is not None and comparison.largest != comparison.first:
        what += f"; {_words('largest', comparison.largest)}"
    counts = (comparison.recorded, comparison.replayed, comparison.equal)
    return (comparison.topic, *(str(count) for count in counts), safe_text(what))


def _words(which: str, difference: Difference | None) -> str:
    if difference is None:
        return ""
    was, now = cut(str(difference.recorded), LONGEST_VALUE), cut(str(difference.replayed), LONGEST_VALUE)
    return f"{which}: message {difference.number}, {difference.field} was {was}, is {now}"


def document(outcome: Outcome) -> dict[str, Any]:
    """The outcome as one JSON document."""
    return {
        "schema_version": 1,
        "same": all(comparison.is_same for comparison in outcome.comparisons) and not outcome.trouble,
        "by_steps": outcome.by_steps,
        "vehicle": outcome.plan.name,
        "duration_s": round((outcome.to_ns - outcome.from_ns) / NS_PER_S, 3),
        "fed": outcome.fed,
        "unreadable": outcome.unreadable,
        "trouble": outcome.trouble,
        "outputs": [msgspec.to_builtins(comparison) for comparison in outcome.comparisons],
    }


def _write(outcome: Outcome, path: Path) -> None:
    """What the nodes said now, as a recording of its own."""
    from cardan.runtime.record.recording import Recording

    if path.exists():
        raise UsageError(f"--out {path}: the file exists", hint="name a new file")
    metadata = {"vehicle": outcome.plan.name, "plan": msgspec.json.encode(outcome.plan).decode(), "replay": "1"}
    recording = Recording(path, metadata, wall_offset_ns=0, jpeg_quality=90)
    for sample in sorted((s for row in outcome.outputs.values() for s in row), key=lambda sample: sample.sent_ns):
        recording.write(sample)
    recording.finish()
