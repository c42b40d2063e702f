"""Is this still the computer that its profile describes: machine, links, and devices under their names?"""

from __future__ import annotations

import os
import re
import stat

from cardan.runtime.detect.parts import links as detect_links
from cardan.runtime.detect.profile import machine
from cardan.runtime.detect.tree import Tree
from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.profile import MachineSettings

MEMORY_TOLERANCE = 0.03
"""The kernel and the firmware take a little more or less of it with each release."""
PASSING = re.compile(r"/dev/(video|ttyUSB|ttyACM|i2c-|can)\d+")
"""Names that go to whatever was plugged in first."""
DETECT = "`cardan profile detect` writes what there is now; correct the profile, or mend the computer"


def same_machine(subject: Subject) -> Result:
    """Model, architecture, processors and memory are those of the profile."""
    wanted, found = subject.profile.machine, machine(Tree(subject.root), os.uname().machine)
    if wanted == MachineSettings():
        return unknown("the profile does not describe the machine", "cardan profile detect")
    wrong = [
        f"{what} {is_now}, not {was}"
        for what, was, is_now in (
            ("model", wanted.model, found.model),
            ("architecture", wanted.architecture, found.architecture),
            ("processors online:", wanted.processors, found.processors),
        )
        if was and was != is_now
    ]
    if wanted.memory_mib and abs(found.memory_mib - wanted.memory_mib) > MEMORY_TOLERANCE * wanted.memory_mib:
        wrong.append(f"memory {found.memory_mib} MiB, not {wanted.memory_mib}")
    if wrong:
        return failed("; ".join(wrong), DETECT)
    return passed(f"{found.model or found.architecture}, {found.processors} processors, {found.memory_mib} MiB")


def links(subject: Subject) -> Result:
    """The network interfaces of the profile are there; one is up."""
    wanted = subject.profile.links
    if not wanted:
        return unknown("the profile names no links", "`cardan profile detect` finds them")
    tree = Tree(subject.root)
    found = detect_links(tree)
    missing = [f"{name} ({link.kind})" for name, link in wanted.items() if name not in found]
    if missing:
        return failed(f"there is no {', '.join(missing)}", "is it plugged in, and its driver loaded? `ip -br link`")
    states = {name: tree.text(f"/sys/class/net/{name}/operstate") or "unknown" for name in wanted}
    text = ", ".join(f"{name} {state}" for name, state in states.items())
    if all(state in ("down", "lowerlayerdown", "notpresent") for state in states.values()):
        return failed(text, "is a cable in, or the modem registered? `ip -br link`, `nmcli device`")
    return passed(text)


def devices(subject: Subject) -> Result:
    """Every device of the profile is there under its name, can be opened by this user, and keeps its name."""
    wanted = subject.profile.devices
    if not wanted:
        return passed("the profile names none")
    wrong = [text for name, path in wanted.items() if (text := _device_trouble(subject, name, path))]
    if wrong:
        fix = "is it plugged in? `ls -l /dev/v4l/by-path /dev/serial/by-id`; a udev rule (SYMLINK+=) gives it a name"
        return failed("; ".join(wrong), fix)
    return passed(", ".join(wanted))


def _device_trouble(subject: Subject, name: str, path: str) -> str:
    place = subject.path(path)
    try:
        mode = place.stat().st_mode
    except OSError as error:
        return f"{name}: {path}: {error.strerror}"
    if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
        return f"{name}: {path} is no device"
    if not os.access(place, os.R_OK | os.W_OK):
        return f"{name}: {path} may not be opened by this user"
    return f"{name}: {path} is the name of whatever was plugged in first" if PASSING.fullmatch(path) else ""


CHECKS = (
    Check("machine.profile", "is it the machine of the profile?", same_machine),
    Check("machine.devices", "are cameras and receivers there under their names?", devices),
    Check("net.links", "are the links of the profile there?", links),
)
