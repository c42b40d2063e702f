"""`cardan doctor`: every check of this computer, its manifest and its last run, each with what helps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli.check import require_manifest
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.process_start import process_start_ns
from cardan.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cardan.runtime.doctor.check import Check, Result, Subject, Verdict
from cardan.runtime.doctor.examine import all_checks, chosen, examine
from cardan.runtime.doctor.report import report
from cardan.runtime.errors import near_names
from cardan.runtime.graph import check as check_manifest
from cardan.runtime.profile import Profile
from cardan.runtime.run import data_folder

COMPLETE_S = 9.0
"""From the start of the process to its last check, so that all is said within 10 s."""
LEAST_S = 2.0
ROLES = {Verdict.PASS: "plain", Verdict.FAIL: "bad", Verdict.UNKNOWN: "faint"}
SIGNS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.UNKNOWN: "?"}


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print them; 1 when one fails. Of a bundle, those of its making."""
    if getattr(arguments, "bundle", None):
        from cardan.runtime.cli.doctor_stored import show

        return show(arguments)
    if arguments.engage:
        return _engage(arguments)
    checks = _chosen(arguments.checks)
    subject = _subject(arguments)
    results = examine(checks, subject, _left_s(subject.clock))
    failures = sum(result.verdict is Verdict.FAIL for result in results.values())
    if arguments.json:
        print(msgspec.json.encode(report(checks, results)).decode())
    else:
        write_lines(lines(checks, results), sys.stdout)
    return int(Exit.FINDING if failures else Exit.HEALTHY)


def _left_s(clock: Clock) -> float:
    """What is left of COMPLETE_S since this process was started: a busy computer takes seconds to come so far."""
    return max(LEAST_S, COMPLETE_S - (clock.now_ns() - process_start_ns(clock)) / NS_PER_S)


def _engage(arguments: argparse.Namespace) -> int:
    """Why a running vehicle is not armed: every arming check of its bridge."""
    from cardan.runtime.cli import control_ask

    asked = argparse.Namespace(command="control arm", data_dir=arguments.data_dir, json=arguments.json, yes=False)
    return control_ask.run(asked)


def _chosen(wanted: list[str]) -> list[Check]:
    checks = all_checks()
    known = {check.name for check in checks} | {check.name.partition(".")[0] for check in checks}
    for name in wanted:
        if name not in known:
            raise UsageError(f'no check "{name}"', hint=near_names(name, sorted(known)))
    return chosen(checks, wanted)


def _subject(arguments: argparse.Namespace) -> Subject:
    require_manifest(arguments.manifest)
    checked = check_manifest(arguments.manifest, arguments.profile)
    profile = checked.profile or Profile(name="unknown")
    return Subject(
        profile=profile,
        plan=checked.plan,
        findings=checked.findings,
        data_dir=Path(arguments.data_dir) if arguments.data_dir else data_folder(profile.storage.data_dir),
        clock=MonotonicClock(),
    )


def lines(checks: list[Check], results: dict[str, Result]) -> list[Line]:
    """The verdict, what fails with what helps, then everything else."""
    failures = [check for check in checks if results[check.name].verdict is Verdict.FAIL]
    unknowns = sum(result.verdict is Verdict.UNKNOWN for result in results.values())
    known = len(checks) - unknowns
    verdict = f"{len(failures)} of {known} checks failed" if failures else f"ok: {known} checks passed"
    more = f", {unknowns} could not be made here" if unknowns else ""
    shown = [Line(verdict + more, "bad" if failures else "good")]
    width = max((len(check.name) for check in checks), default=0)
    for check in sorted(checks, key=lambda check: check not in failures):
        result = results[check.name]
        shown.append(
            Line(f"{SIGNS[result.verdict]:<4}  {check.name:<{width}}  {safe_text(result.text)}", ROLES[result.verdict])
        )
        if result.verdict is Verdict.FAIL and result.fix:
            shown.append(Line(f"{'':<{width + 8}}-> {safe_text(result.fix)}", "warning"))
    return shown
