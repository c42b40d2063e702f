"""`cardan downlink check`: what a campaign would have collected while a recording was made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.record_files import find_files
from cardan.runtime.clock import NS_PER_S, MonotonicClock
from cardan.runtime.downlink.documents import Campaign
from cardan.runtime.downlink.dry_run import DryRun, dry_run
from cardan.runtime.downlink.written import read_written
from cardan.runtime.replay.recorded import plan_of


def run(arguments: argparse.Namespace) -> int:
    """Try it; 1 when its budget would have been spent."""
    campaign = read_written(Path(arguments.file), MonotonicClock().wall_ns() // NS_PER_S)
    if not isinstance(campaign, Campaign):
        raise UsageError(f"{arguments.file} is a command", hint='a campaign has kind = "campaign"')
    paths = find_files(arguments.recording, arguments.data_dir)
    tried = dry_run(campaign, plan_of(paths), paths)
    fits = tried.bytes < campaign.max_bytes
    if arguments.json:
        document = {
            "schema_version": 1,
            "fits": fits,
            "campaign": campaign.title,
            "recording": str(paths[0]),
            "duration_s": tried.duration_s,
            "records": tried.records,
            "bytes": tried.bytes,
            "max_bytes": campaign.max_bytes,
            "unreadable": tried.unreadable,
            "collects": tried.collects,
        }
        print(msgspec.json.encode(document).decode())
    else:
        write_lines(check_lines(campaign, tried, fits), sys.stdout)
    return int(Exit.HEALTHY if fits else Exit.FINDING)


def check_lines(campaign: Campaign, tried: DryRun, fits: bool) -> list[Line]:
    """The verdict, then each `collect`."""
    volume = f"{units.plural(tried.records, 'record')}, {units.size(tried.bytes)} in {tried.duration_s:.0f} s"
    head = f"{campaign.title}: {volume}"
    lines = [Line(safe_text(head if fits else f"{head}: more than its {units.size(campaign.max_bytes)}"), _role(fits))]
    for row in tried.collects:
        when = f"when {row.when}: fired {row.fired} times, " if row.when else "always: "
        what = f"{units.plural(row.records, 'record')}, {units.size(row.bytes)} of {', '.join(row.topics)}"
        lines.append(Line(safe_text(f"  {when}{what}")))
    if tried.bytes and tried.duration_s:
        lasts = units.duration(campaign.max_bytes / tried.bytes * tried.duration_s)
        lines.append(Line(f"at this rate its {units.size(campaign.max_bytes)} last for {lasts}", "faint"))
    if tried.unreadable:
        lines.append(Line(f"{units.plural(tried.unreadable, 'message')} could not be read back", "warning"))
    return lines


def _role(fits: bool) -> str:
    return "good" if fits else "bad"
