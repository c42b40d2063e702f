"""Over which link data would leave, what kind of link that is, and whether its bytes cost money.

The link is the interface of the default route. Its kind comes from rules of the profile (`[links]`), else from what
the kernel says of it. Whether it is metered comes from a rule, else from NetworkManager where that runs, else from the
kind: mobile links are, others are not.
"""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import msgspec

from cardan.runtime.profile import LinkSettings
from cardan.runtime.small_file import small_text

LinkKind = Literal["local", "ethernet", "wifi", "mobile", "other", "none"]
Metered = Literal["auto", "yes", "no"]

MOBILE_NAMES = ("wwan*", "wwp*", "rmnet*", "ppp*", "usb_modem*")
"""Interfaces of modems, as Linux and modem drivers name them."""
ETHERNET_TYPE = 1
"""ARPHRD_ETHER of linux/if_arp.h."""
ROUTE_UP = 0x1
NETWORK_MANAGER = "org.freedesktop.NetworkManager"
ASK_TIMEOUT_S = 1.0
SAID_METERED = {1: True, 2: False, 3: True, 4: False}
"""NMMetered of NetworkManager: yes, no, and what it guesses; 0 is unknown."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The link as of now."""

    interface: str
    """Empty: none, or the store is on this computer."""
    kind: LinkKind
    metered: bool
    because: str
    """Who says that it is metered, or that it is not."""


LOCAL = Link(interface="", kind="local", metered=False, because="the store is on this computer")
NO_LINK = Link(interface="", kind="none", metered=False, because="there is no default route")


def link_of(interface: str, rules: dict[str, LinkSettings], wish: Metered, system: System) -> Link:
    """The link that `interface` is; empty: there is none. wish: the word of a person, which counts most."""
    if not interface:
        return NO_LINK
    rule = next((rule for pattern, rule in rules.items() if fnmatch(interface, pattern)), None)
    kind = rule.kind if rule is not None else system.kind(interface)
    metered, because = _metered(kind, rule.metered if rule is not None else "auto", wish, system)
    return Link(interface=interface, kind=kind, metered=metered, because=because)


def _metered(kind: LinkKind, rule: Metered, wish: Metered, system: System) -> tuple[bool, str]:
    if wish != "auto":
        return wish == "yes", "a person said so"
    if rule != "auto":
        return rule == "yes", "the profile says so"
    said = system.said_metered_or_none()
    if said is not None:
        return said, "NetworkManager says so"
    return kind == "mobile", f"a link of kind {kind}"


class System:
    """What this computer knows about its links. root: where /proc and /sys are, for tests."""

    def __init__(self, root: Path = Path("/"), ask: str = "busctl") -> None:
        self._proc = root / "proc/net"
        self._sys = root / "sys/class/net"
        self._ask = ask

    def default_interface(self) -> str:
        """The interface of the default route with the lowest metric, IPv4 before IPv6; empty when there is none."""
        routes = [*self._ipv4_routes(), *self._ipv6_routes()]
        return min(routes)[1] if routes else ""

    def kind(self, interface: str) -> LinkKind:
        """What the kernel knows about an interface."""
        place = self._sys / interface
        is_modem = any(fnmatch(interface, pattern) for pattern in MOBILE_NAMES)
        if is_modem or "DEVTYPE=wwan" in small_text(place / "uevent"):
            return "mobile"
        if (place / "wireless").exists() or (place / "phy80211").exists():
            return "wifi"
        return "ethernet" if small_text(place / "type") == str(ETHERNET_TYPE) else "other"

    def said_metered_or_none(self) -> bool | None:
        """What NetworkManager says about the link in use; None where it does not run or does not know."""
        import subprocess  # heavy, and no business of who only looks

        path = "/org/freedesktop/NetworkManager"
        command = [self._ask, "--system", "get-property", NETWORK_MANAGER, path, NETWORK_MANAGER, "Metered"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        kind, _, number = done.stdout.strip().partition(" ")
        return SAID_METERED.get(int(number)) if kind == "u" and number.isdecimal() else None

    def _ipv4_routes(self) -> list[tuple[int, str]]:
        rows = [line.split() for line in small_text(self._proc / "route").splitlines()[1:]]
        return [
            (int(row[6]), row[0])
            for row in rows
            if len(row) > 7 and row[1] == row[7] == "00000000" and int(row[3], 16) & ROUTE_UP
        ]

    def _ipv6_routes(self) -> list[tuple[int, str]]:
        rows = [line.split() for line in small_text(self._proc / "ipv6_route").splitlines()]
        return [
            (1 << 32 | int(row[5], 16), row[9])
            for row in rows
            if len(row) > 9 and row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo" and int(row[8], 16) & ROUTE_UP
        ]
