"""`cardan profile show`: what a hardware profile says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.profile import Profile
from cardan.runtime.profile_file import find_profile, load_profile


def run(arguments: argparse.Namespace) -> int:
    """Print it; ProfileError, exit code 1, lists what is wrong with it."""
    path, profile = find_profile(arguments.profile, Path()), load_profile(arguments.profile)
    if arguments.json:
        print(msgspec.json.encode({"schema_version": 1, "path": str(path), "profile": profile}).decode())
    else:
        write_lines(profile_lines(profile, str(path)), sys.stdout)
    return int(Exit.HEALTHY)


def profile_lines(profile: Profile, path: str) -> list[Line]:
    """The name first, then a line for each part that the profile has."""
    rows = [row for row in _rows(profile) if row[1]]
    width = max(len(name) for name, _ in rows)
    first = Line(safe_text(f"{profile.name}: {profile.description or 'no description'}"), "title")
    return [
        first,
        *(Line(safe_text(f"  {name:<{width}}  {text}")) for name, text in rows),
        Line(safe_text(path), "faint"),
    ]


def _rows(profile: Profile) -> list[tuple[str, str]]:
    realtime, machine = profile.realtime, profile.machine
    return [
        *((f"cores of {name}", _cores(group)) for name, group in profile.cores.items()),
        (
            "real time",
            f"{realtime.scheduler}, priority {realtime.priority}" + (", locked memory" * realtime.memory_lock),
        ),
        *(
            (f"CAN {name}", f"{can.interface} {can.channel}, {can.bitrate // 1000} kbit/s")
            for name, can in profile.can.items()
        ),
        ("accelerator", f"{profile.accelerator.kind} {profile.accelerator.name}".strip()),
        ("storage", f"at most {profile.storage.quota_bytes / 1e9:g} GB {profile.storage.data_dir}".strip()),
        ("watchdog", f"{profile.watchdog.device}, {profile.watchdog.timeout_s} s" if profile.watchdog.device else ""),
        ("machine", ", ".join(filter(None, (machine.model, machine.architecture))) if machine.processors else ""),
        *(
            (f"disk {name}", f"{disk.kind}, {disk.size_gb} GB {' '.join(disk.mounts)}".strip())
            for name, disk in profile.disks.items()
        ),
        *(
            (f"link {name}", " ".join(filter(None, (link.kind, link.driver, link.ptp_clock))))
            for name, link in profile.links.items()
        ),
        *((f"zone {name}", f"critical at {zone.critical_c:g} C") for name, zone in profile.thermal.items()),
        *((f"device {name}", path) for name, path in profile.devices.items()),
    ]


def _cores(group: list[int] | str) -> str:
    return group if isinstance(group, str) else " ".join(map(str, group))
