"""Will a vehicle start at boot, and be reset if it hangs?"""

from __future__ import annotations

import os
import socket
import stat
import subprocess

from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.plan import Plan
from cardan.runtime.run import current_run
from cardan.runtime.web.settings import PORT

WANTED = ("LoadState", "ActiveState", "UnitFileState", "NRestarts", "WatchdogUSec")


def unit(subject: Subject) -> Result:
    """systemd knows the service, starts it at boot, and did not have to start it again."""
    if not subject.path("/run/systemd/system").is_dir():
        return unknown("systemd does not run here", "a vehicle computer runs the service: `cardan install-service`")
    command = ["systemctl", "show", "cardan.service", f"--property={','.join(WANTED)}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=1.5, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return unknown(f"systemctl does not answer: {error}")
    return judge_unit(dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line))


def judge_unit(said: dict[str, str]) -> Result:
    """What the properties of the unit mean."""
    if said.get("LoadState") != "loaded":
        return failed("the service is not installed", "sudo cardan install-service --manifest FILE")
    state, enabled, restarts = (said.get(key, "") for key in ("ActiveState", "UnitFileState", "NRestarts"))
    text = f"{state}, {enabled}, started again {restarts or 0} times"
    if enabled != "enabled":
        return failed(text, "sudo systemctl enable cardan")
    if state == "failed":
        return failed(text, "journalctl -u cardan -b | tail; sudo systemctl reset-failed cardan")
    if restarts not in ("", "0"):
        return failed(text, "cardan status says why; journalctl -u cardan -b")
    return passed(text)


def watchdog(subject: Subject) -> Result:
    """The hardware watchdog of the profile is there."""
    device = subject.profile.watchdog.device
    if not device:
        found = sorted(path.name for path in subject.path("/dev").glob("watchdog[0-9]*"))
        if found:
            return unknown(f"the profile names none; here is /dev/{found[0]}", f'[watchdog] device = "/dev/{found[0]}"')
        return passed("the profile names none, and there is none")
    place = subject.path(device)
    try:
        mode = place.stat().st_mode
    except OSError as error:
        return failed(f"{device}: {error.strerror}", "load its driver, or correct [watchdog] in the profile")
    if not stat.S_ISCHR(mode):
        return failed(f"{device} is no device", "correct [watchdog] in the profile")
    if not os.access(place, os.W_OK):
        return failed(f"{device} may not be written", "the rules of `cardan install-service` allow it to the service")
    return passed(f"{device}, {subject.profile.watchdog.timeout_s} s")


def ports(subject: Subject) -> Result:
    """Every TCP port on which nodes of the manifest will listen is free, or is theirs already."""
    wanted = listening(subject.plan) if subject.plan is not None else {}
    if not wanted:
        return passed("the manifest opens no port")
    taken = [
        f"{node}: {address}:{port} is {why}"
        for node, (address, port) in wanted.items()
        if (why := _taken(address, port))
    ]
    if taken and current_run(subject.data_dir) is None:
        return failed("; ".join(taken), "who listens there? `ss -ltnp`; or give the node another port")
    return passed(", ".join(f"{node} {address}:{port}" for node, (address, port) in wanted.items()))


def listening(plan: Plan) -> dict[str, tuple[str, int]]:
    """Node -> address and port of its `page`, or of its `bind` over tcp; those that take any port are left out."""
    found = {}
    for node in plan.nodes:
        page, bind = node.config.get("page"), str(node.config.get("bind", ""))
        if isinstance(page, dict):
            found[node.name] = str(page.get("bind", "127.0.0.1")), int(page.get("port", PORT))
        elif bind.startswith("tcp://"):
            address, _, port = bind.removeprefix("tcp://").rpartition(":")
            found[node.name] = address.strip("[]"), int(port) if port.isdecimal() else 0
    return {node: place for node, place in found.items() if place[1]}


def _taken(address: str, port: int) -> str:
    """Why nobody can listen there; empty when one can."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("" if address == "*" else address, port))
    except OSError as error:
        return str(error.strerror or error).lower()
    return ""


CHECKS = (
    Check("service.ports", "are the ports of the manifest free?", ports),
    Check("service.unit", "does systemd start the vehicle at boot?", unit),
    Check("service.watchdog", "is the hardware watchdog there?", watchdog),
)
