"""`cardan doctor --bundle`: the report of the doctor, and the arming checks, as they were when the bundle was made."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bundle.collectors import DOCTOR, ENGAGE
from cardan.runtime.cli.control_ask import answer_lines
from cardan.runtime.cli.doctor import lines
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import write_lines
from cardan.runtime.cli.place import place_of
from cardan.runtime.control_port import Answer
from cardan.runtime.doctor.check import Check, Result, Verdict
from cardan.runtime.doctor.report import Answered


def show(arguments: argparse.Namespace) -> int:
    """Print what the bundle has; NoDataError when it has none."""
    folder = place_of(arguments).folder
    return _engage(arguments, folder) if arguments.engage else _report(arguments, folder)


def _report(arguments: argparse.Namespace, folder: Path) -> int:
    stored = _read(folder / DOCTOR)
    try:
        found = msgspec.convert(stored["checks"], type=list[Answered])
        results = {item.name: Result(Verdict(item.verdict), item.text, item.fix) for item in found}
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise _none(folder / DOCTOR) from error
    wanted = set(arguments.checks)
    kept = [item for item in found if not wanted or {item.name, item.name.partition(".")[0]} & wanted]
    failures = sum(results[item.name].verdict is Verdict.FAIL for item in kept)
    if arguments.json:
        verdict = "ok" if not failures else f"{failures} failed"
        print(json.dumps({"schema_version": 1, "verdict": verdict, "checks": msgspec.to_builtins(kept)}))
    else:
        checks = [Check(item.name, item.about, lambda _: results[""]) for item in kept]
        write_lines(lines(checks, results), sys.stdout)
    return int(Exit.FINDING if failures else Exit.HEALTHY)


def _engage(arguments: argparse.Namespace, folder: Path) -> int:
    stored = _read(folder / ENGAGE)
    try:
        answer = msgspec.convert(stored, type=Answer)
    except msgspec.MsgspecError as error:
        raise _none(folder / ENGAGE) from error
    ready = all(check.passed for check in answer.checks)
    if arguments.json:
        print(json.dumps(stored))
    else:
        head = "ready to engage, when the bundle was made" if ready else "not ready to engage, when the bundle was made"
        write_lines(answer_lines(answer, head, ready), sys.stdout)
    return int(Exit.HEALTHY if ready else Exit.REFUSED)


def _read(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _none(path) from error


def _none(path: Path) -> NoDataError:
    what = path.stem
    return NoDataError(f"this bundle has no readable {path.name}", hint=f"`cardan bundle open` says why {what} failed")
