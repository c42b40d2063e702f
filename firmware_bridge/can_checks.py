"""What `cardan doctor` asks about CAN: is each channel of the profile there, and is it set up as it should be?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed

if TYPE_CHECKING:  # the doctor loads these modules before it knows what will be asked
    from cardan.firmware_bridge.cli.can_findings import Finding
    from cardan.runtime.can_health import CanLink

UNHEARD = "silent"
"""Nobody listens here; `cardan can health` does."""
SOCKETCAN = "socketcan"
"""Of the others the kernel knows nothing: what is wrong with them shows in their traffic."""


def channels(subject: Subject) -> Result:
    """Every channel is there and up, without errors, and no known trap of its adapter is open."""
    watched = [name for name, item in subject.profile.can.items() if item.interface == SOCKETCAN]
    found = _found(subject, watched) if watched else []
    if found:
        text = "; ".join(f"{name}: {finding.text}" for name, finding in found)
        return failed(text, found[0][1].fix)
    described = [f"{name} on {item.interface} {item.channel}" for name, item in subject.profile.can.items()]
    return passed(", ".join(described) or "the profile has none")


def _found(subject: Subject, watched: list[str]) -> list[tuple[str, Finding]]:
    from cardan.drivers.can.link_state import read_links

    links = read_links()
    return [(name, finding) for name in watched for finding in judge(subject, name, links)]


def judge(subject: Subject, name: str, links: dict[str, CanLink]) -> list[Finding]:
    """What is wrong with one channel, the worst first; notes are left out."""
    from cardan.firmware_bridge.cli.can_findings import Facts, findings
    from cardan.firmware_bridge.cli.can_traffic import Traffic

    settings = subject.profile.can[name]
    facts = Facts(
        channel=name,
        settings=settings,
        link=links.get(settings.channel),
        live=True,
        traffic=Traffic(),
        duration_s=0.0,
        load=None,
        kernel=os.uname().release,
    )
    return [item for item in findings(facts) if item.severity != "note" and item.code != UNHEARD]


CHECKS = (Check("can.channels", "are the CAN channels of the profile there and sound?", channels),)
