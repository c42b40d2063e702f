"""`cardan can list`: the channels of a vehicle with who has them open, and the CAN interfaces of this computer."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.drivers.can.link_state import read_links
from cardan.firmware_bridge.cli.can_holders import BENCH_BUS, holders
from cardan.runtime.can_health import CanLink
from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, cut, safe_text, table, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.profile import CanChannelSettings

CHANNEL_HEAD = ("channel", "interface", "device", "bit rate", "open by")
LINK_HEAD = ("interface", "kind", "state", "bit rate", "fd", "queue", "driver", "channel")


class ChannelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of the profile."""

    channel: str
    interface: str
    device: str
    """`can0`, or group and port of a bench bus."""
    bitrate: int
    fd: bool
    open_by: list[str]
    """Nodes of the running vehicle; empty without one."""


def run(arguments: argparse.Namespace) -> int:
    """Print both tables; 3 when there is neither a channel nor an interface."""
    title, rows, live = _channels(arguments)
    links = read_links()
    if not rows and not links:
        raise NoDataError(
            "no run, and no CAN interface on this computer",
            hint="`cardan up` starts a vehicle on a bench bus; an adapter shows with `ip -br link show type can`",
        )
    if arguments.json:
        document = {"schema_version": 1, "source": title, "live": live, "channels": rows}
        document["interfaces"] = list(links.values())
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        write_lines([*channel_lines(title, rows), Line(""), *link_lines(links, rows)], sys.stdout)
    return int(Exit.HEALTHY)


def _channels(arguments: argparse.Namespace) -> tuple[str, list[ChannelRow], bool]:
    """Where the channels come from, the channels, and whether a run is active."""
    if arguments.profile:
        from cardan.runtime.profile_file import load_profile

        profile = load_profile(arguments.profile)
        return f"profile {profile.name}", _rows(profile.can, {}), False
    try:
        found = find_run(arguments.data_dir)
    except NoDataError:
        return "no run", [], False
    channels = found.plan.profile.can
    return _title(found), _rows(channels, _holders(found, channels)), found.live


def _title(found: FoundRun) -> str:
    return f"{found.title}, {'live' if found.live else 'the last run'}"


def _holders(found: FoundRun, channels: dict[str, CanChannelSettings]) -> dict[str, list[str]]:
    return holders(channels, found.snapshot(MonotonicClock()).nodes) if found.live else {}


def _rows(channels: dict[str, CanChannelSettings], open_by: dict[str, list[str]]) -> list[ChannelRow]:
    return [
        ChannelRow(
            channel=name,
            interface=settings.interface,
            device=device_of(settings),
            bitrate=settings.bitrate,
            fd=settings.fd,
            open_by=open_by.get(name, []),
        )
        for name, settings in channels.items()
    ]


def device_of(settings: CanChannelSettings) -> str:
    """`can0`; of a bench bus its group and port, which may still be open."""
    return f"{settings.channel}:{settings.port or '*'}" if settings.interface == BENCH_BUS else settings.channel


def rate_text(bits_per_s: int | None) -> str:
    """`500 kbit/s`."""
    return units.NOTHING if bits_per_s is None else f"{bits_per_s / 1000:g} kbit/s"


def channel_lines(title: str, rows: list[ChannelRow]) -> list[Line]:
    """The channels of the vehicle, its name first."""
    first = Line(f"{safe_text(title)}: {units.plural(len(rows), 'CAN channel')}", "title")
    if not rows:
        return [first]
    cells = [
        (
            cut(row.channel, 20),
            row.interface,
            row.device,
            rate_text(row.bitrate),
            " ".join(row.open_by) or units.NOTHING,
        )
        for row in rows
    ]
    return [first, *(Line(text) for text in table(CHANNEL_HEAD, cells, "<<<><"))]


def link_lines(links: dict[str, CanLink], rows: list[ChannelRow]) -> list[Line]:
    """The interfaces of the kernel; one that is not well stands out."""
    if not links:
        return [Line("this computer: no CAN interface of the kernel", "faint")]
    used = {row.device: row.channel for row in rows if row.interface == "socketcan"}
    head, *texts = table(LINK_HEAD, [_link_cells(link, used) for link in links.values()], "<<<><><<")
    roles = ["plain" if link.up and link.bus_state in (None, "ERROR-ACTIVE") else "warning" for link in links.values()]
    first = Line(f"this computer: {units.plural(len(links), 'CAN interface')}", "title")
    return [first, Line(head), *(Line(text, role) for text, role in zip(texts, roles, strict=True))]


def _link_cells(link: CanLink, used: dict[str, str]) -> tuple[str, ...]:
    return (
        link.name,
        link.kind,
        (link.bus_state or "up") if link.up else "down",
        rate_text(link.bitrate),
        "yes" if link.carries_fd else "no",
        str(link.transmit_queue_frames),
        link.driver or units.NOTHING,
        used.get(link.name, units.NOTHING),
    )
