"""Which nodes of a run have which channel open: as the kernel shows it where it does, else as the plan says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cardan.runtime.cli.snapshot import NodeShot
from cardan.runtime.profile import CanChannelSettings

PROC = Path("/proc")
BENCH_BUS = "udp_multicast"


def holders(channels: Mapping[str, CanChannelSettings], nodes: list[NodeShot]) -> dict[str, list[str]]:
    """Channel -> names of the nodes that have it open now.

    The kernel tells the sockets of a process, and the address of a UDP socket: so that is known for a bench bus. It
    does not tell the interface of a CAN socket: there the channels that a node declares are what it has open.
    """
    sockets = {node.plan.name: socket_inodes(node.pid) for node in nodes if node.pid}
    found: dict[str, list[str]] = {}
    for name, settings in channels.items():
        if settings.interface == BENCH_BUS and sockets and all(held is not None for held in sockets.values()):
            bound = udp_inodes(settings.channel, settings.port)
            found[name] = [node for node, held in sockets.items() if held and held & bound]
        else:
            found[name] = [node.plan.name for node in nodes if name in node.plan.channels]
    return found


def socket_inodes(pid: int) -> set[int] | None:
    """The sockets of a process; None when it may not be looked into, or is gone."""
    try:
        links = [os.readlink(entry.path) for entry in os.scandir(PROC / str(pid) / "fd")]
    except OSError:
        return None
    return {int(link[len("socket:[") : -1]) for link in links if link.startswith("socket:[")}


def udp_inodes(address: str, port: int) -> set[int]:
    """The UDP sockets of this network that are bound or connected to an IPv4 address and port."""
    wanted = f"{int.from_bytes(bytes(int(part) for part in address.split('.')), 'little'):08X}:{port:04X}"
    try:
        rows = [line.split() for line in (PROC / "net" / "udp").read_text().splitlines()[1:]]
    except OSError:
        return set()
    return {int(row[9]) for row in rows if wanted in (row[1], row[2])}
