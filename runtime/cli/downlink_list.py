"""`cardan downlink list`: what was asked of this vehicle, and what became of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import Place, stamp
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.downlink.memory import Kept, RememberedCampaign, RememberedCommand, memory_path, read_memory

BAD_STATES = ("failed", "interrupted")


def run(arguments: argparse.Namespace) -> int:
    """Print campaigns, then commands; 3 when nothing was ever asked."""
    data_dir = Place(Path(arguments.data_dir) if arguments.data_dir else None).folder
    if not memory_path(data_dir).exists():
        raise NoDataError(f"nothing was ever asked of the vehicle in {data_dir}", hint="docs/live.md says how to ask")
    kept = read_memory(data_dir)
    campaigns = [_campaign(item) for item in kept.campaigns.values()]
    commands = [_command(name, item) for name, item in kept.commands.items()]
    if arguments.json:
        document = {"schema_version": 1, "data_dir": str(data_dir), "campaigns": campaigns, "commands": commands}
        print(msgspec.json.encode(document).decode())
    else:
        write_lines(memory_lines(kept, campaigns, commands), sys.stdout)
    return int(Exit.FINDING if any(row["state"] in BAD_STATES for row in commands) else Exit.HEALTHY)


def memory_lines(kept: Kept, campaigns: list[dict[str, Any]], commands: list[dict[str, Any]]) -> list[Line]:
    """The verdict, then a line for each."""
    active = sum(not row["ended"] for row in campaigns)
    bad = sum(row["state"] in BAD_STATES for row in commands)
    head = f"{units.plural(active, 'campaign')} active, {units.plural(len(commands), 'command')} remembered"
    lines = [Line(f"{head}, {bad} of them not done" if bad else head, "bad" if bad else "good")]
    for row in campaigns:
        spent = f"{units.size(row['spent_bytes'])} of {units.size(row['max_bytes'])}"
        until = stamp(row["expires_s"] * NS_PER_S).strftime("%Y-%m-%d %H:%M")
        state = f"ended: {row['ended']}" if row["ended"] else f"until {until} UTC"
        text = f"  campaign {row['name']}@{row['version']}  {spent} for {row['purpose']}, {state}, by {row['key']}"
        lines.append(Line(safe_text(text)))
    for row in commands:
        text = f"  command  {row['id']}  {row['verb']}: {row['state']} {row['reason']} {row['text']}".rstrip()
        lines.append(Line(safe_text(f"{text}, by {row['key']}"), "bad" if row["state"] in BAD_STATES else "plain"))
    if kept.untold:
        lines.append(Line(f"{units.plural(len(kept.untold), 'answer')} not in the outbox yet", "warning"))
    return lines


def _campaign(item: RememberedCampaign) -> dict[str, Any]:
    campaign = item.campaign
    return {
        "name": campaign.name,
        "version": campaign.version,
        "key": item.key,
        "purpose": campaign.purpose,
        "spent_bytes": item.spent_bytes,
        "max_bytes": campaign.max_bytes,
        "expires_s": campaign.expires_s,
        "ended": item.ended,
    }


def _command(name: str, item: RememberedCommand) -> dict[str, Any]:
    result = item.result
    return {
        "id": name,
        "verb": item.verb,
        "key": item.key,
        "deadline_s": item.deadline_s,
        "state": result.state if result is not None else "begun",
        "reason": result.reason if result is not None else "",
        "text": result.text if result is not None else "",
    }
