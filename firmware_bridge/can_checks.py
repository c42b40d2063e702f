"""What `cardan doctor` asks about CAN: is each channel of the profile there, and is it set up as it should be?"""

from __future__ import annotations

import os

from cardan.drivers.can.link_state import read_links
from cardan.firmware_bridge.cli.can_findings import Facts, Finding, findings
from cardan.firmware_bridge.cli.can_traffic import Traffic
from cardan.runtime.can_health import CanLink
from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed

UNHEARD = "silent"
"""Nobody listens here; `cardan can health` does."""


def channels(subject: Subject) -> Result:
    """Every channel is there and up, without errors, and no known trap of its adapter is open."""
    links = read_links() if any(item.interface == "socketcan" for item in subject.profile.can.values()) else {}
    found = [(name, finding) for name in subject.profile.can for finding in judge(subject, name, links)]
    if found:
        text = "; ".join(f"{name}: {finding.text}" for name, finding in found)
        return failed(text, found[0][1].fix)
    described = [f"{name} on {item.interface} {item.channel}" for name, item in subject.profile.can.items()]
    return passed(", ".join(described) or "the profile has none")


def judge(subject: Subject, name: str, links: dict[str, CanLink]) -> list[Finding]:
    """What is wrong with one channel, the worst first; notes are left out."""
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
