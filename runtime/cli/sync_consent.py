"""`cardan sync consent`: for which purposes data may be kept and may leave, and the word of a person about it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli.control_ask import user_name
from cardan.runtime.cli.exits import Exit, NoDataError, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import Place, find_run, stamp
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import near_names
from cardan.runtime.privacy.consent import Consent, ConsentFile
from cardan.runtime.privacy.settings import PURPOSES, Purpose

ABOUT: dict[Purpose, str] = {
    "operation": "what is needed to run and support this vehicle",
    "diagnostics": "finding faults and wear",
    "improvement": "making later software better",
}
ALL = "all"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One purpose, as `--json` prints it."""

    purpose: Purpose
    given: bool
    by: str
    """Who said so; `manifest` where nobody has."""
    wall_ns: int | None


def run(arguments: argparse.Namespace) -> int:
    """Show, or say and show; 1 when nothing is consented to."""
    data_dir, defaults = _vehicle(arguments.data_dir)
    file = ConsentFile(data_dir, defaults)
    purposes = _purposes(arguments.purposes)
    if arguments.action == "show":
        if purposes:
            raise UsageError("`show` takes no purpose", hint="`cardan sync consent give PURPOSE`")
        consent = file.now()
    elif not purposes:
        raise UsageError(f"`{arguments.action}` needs a purpose", hint=f"{', '.join(PURPOSES)}, or {ALL}")
    else:
        given = arguments.action == "give"
        consent = file.say(purposes, given=given, by=user_name(), clock=MonotonicClock())
    rows = [_row(purpose, consent) for purpose in PURPOSES]
    if arguments.json:
        document = {"data_dir": str(data_dir), "consented": sorted(consent.purposes), "purposes": rows}
        print(msgspec.json.encode({"schema_version": 1, **document, "problem": consent.problem}).decode())
    else:
        write_lines(consent_lines(consent, rows, data_dir), sys.stdout)
    return int(Exit.HEALTHY if consent.purposes else Exit.FINDING)


def consent_lines(consent: Consent, rows: list[Row], data_dir: Path) -> list[Line]:
    """The verdict, then each purpose with who said so."""
    names = ", ".join(purpose for purpose in PURPOSES if purpose in consent.purposes)
    head = Line(f"consent to {names}", "good") if names else Line("consent to nothing: nothing is kept or sent", "bad")
    lines = [head]
    if consent.problem:
        lines.append(Line(safe_text(consent.problem), "bad"))
    for row in rows:
        since = f" on {stamp(row.wall_ns).strftime('%Y-%m-%d %H:%M')} UTC" if row.wall_ns is not None else ""
        word = "given" if row.given else "not given"
        lines.append(Line(f"  {row.purpose:<12} {word:<9}  by {safe_text(row.by)}{since}  ({ABOUT[row.purpose]})"))
    return [*lines, Line(f"of the vehicle whose data lie in {data_dir}", "faint")]


def _vehicle(data_dir: str | None) -> tuple[Path, list[Purpose]]:
    """The data folder, and what the manifest of its newest run consents to."""
    try:
        found = find_run(data_dir)
    except NoDataError:
        return Place(Path(data_dir) if data_dir else None).folder, []
    try:
        return found.data_dir, list(found.plan.privacy.consent)
    finally:
        found.vitals.close()


def _purposes(words: list[str]) -> list[Purpose]:
    if words == [ALL]:
        return list(PURPOSES)
    known = {str(purpose): purpose for purpose in PURPOSES}
    for word in words:
        if word not in known:
            raise UsageError(f'no purpose "{word}"', hint=near_names(word, [*PURPOSES, ALL]))
    return [known[word] for word in words]


def _row(purpose: Purpose, consent: Consent) -> Row:
    said = consent.said.get(purpose)
    if said is None:
        return Row(purpose=purpose, given=purpose in consent.purposes, by="manifest", wall_ns=None)
    return Row(purpose=purpose, given=said.given, by=said.by, wall_ns=said.wall_ns)
