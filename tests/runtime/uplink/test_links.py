"""Which link data would take, and whether that costs money."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.profile import LinkSettings
from cardan.runtime.uplink.links import NO_LINK, Link, Metered, System, link_of

HEAD = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
DOWN, UP = "0002", "0003"


def route(interface: str, metric: int, *, flags: str = UP, destination: str = "00000000") -> str:
    mask = "00000000" if destination == "00000000" else "00FFFFFF"
    return f"{interface} {destination} 0100A8C0 {flags} 0 0 {metric} {mask} 0 0 0\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "sys/class/net").mkdir(parents=True)
    return tmp_path


def interface(root: Path, name: str, *, of_type: int = 1, uevent: str = "", wireless: bool = False) -> None:
    place = root / "sys/class/net" / name
    place.mkdir()
    (place / "type").write_text(f"{of_type}\n")
    (place / "uevent").write_text(uevent)
    if wireless:
        (place / "phy80211").mkdir()


def system_of(root: Path, ask: str = "/does/not/exist") -> System:
    return System(root, ask)


def test_the_link_is_that_of_the_best_default_route(root: Path) -> None:
    rows = [
        route("eth0", 300),
        route("wlan0", 100),
        route("wwan0", 50, flags=DOWN),
        route("br0", 0, destination="0000A8C0"),
    ]
    (root / "proc/net/route").write_text(HEAD + "".join(rows))
    assert system_of(root).default_interface() == "wlan0"


def test_a_route_of_ipv6_alone_will_do(root: Path) -> None:
    zero = "0" * 32
    lines = [f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 0 00200200 lo"]
    lines.append(f"{zero} 00 {zero} 00 fe80{'0' * 28} 00000064 00000001 0 00000003 wwan0")
    (root / "proc/net/ipv6_route").write_text("\n".join(lines) + "\n")
    assert system_of(root).default_interface() == "wwan0"


def test_without_a_route_there_is_no_link(root: Path) -> None:
    (root / "proc/net/route").write_text(HEAD)
    assert system_of(root).default_interface() == ""
    assert link_of("", {}, "auto", system_of(root)) is NO_LINK


def test_this_computer_has_an_answer() -> None:
    found = System().default_interface()
    assert isinstance(link_of(found, {}, "auto", System()), Link)


@pytest.mark.parametrize(
    ("name", "of_type", "uevent", "wireless", "kind", "metered"),
    [
        ("eth0", 1, "", False, "ethernet", False),
        ("wlan0", 1, "DEVTYPE=wlan", True, "wifi", False),
        ("wwan0", 65534, "", False, "mobile", True),
        ("enx1", 1, "DEVTYPE=wwan\n", False, "mobile", True),
        ("tun0", 65534, "", False, "other", False),
    ],
)
def test_the_kernel_knows_what_an_interface_is(
    root: Path, name: str, of_type: int, uevent: str, wireless: bool, kind: str, metered: bool
) -> None:
    interface(root, name, of_type=of_type, uevent=uevent, wireless=wireless)
    link = link_of(name, {}, "auto", system_of(root))
    assert (link.kind, link.metered, link.because) == (kind, metered, f"a link of kind {kind}")


def test_a_rule_of_the_profile_counts_more_and_the_word_of_a_person_most(root: Path) -> None:
    interface(root, "eth1")
    rules = {"eth*": LinkSettings(kind="mobile", metered="yes")}
    found = [link_of("eth1", rules, wish, system_of(root)) for wish in ("auto", "no")]
    assert [(link.kind, link.metered, link.because) for link in found] == [
        ("mobile", True, "the profile says so"),
        ("mobile", False, "a person said so"),
    ]


@pytest.mark.parametrize(("said", "metered"), [(0, None), (1, True), (2, False), (3, True), (4, False), (9, None)])
def test_networkmanager_is_asked_where_nobody_has_decided(
    root: Path, tmp_path: Path, said: int, metered: bool | None
) -> None:
    ask = tmp_path / "busctl"
    ask.write_text(f'#!/bin/sh\ntest "$2" = get-property && echo "u {said}"\n')
    ask.chmod(0o755)
    interface(root, "wlan0", wireless=True)
    wish: Metered = "auto"
    link = link_of("wlan0", {}, wish, system_of(root, str(ask)))
    assert link.metered is bool(metered)
    assert link.because == ("a link of kind wifi" if metered is None else "NetworkManager says so")


def test_an_answer_that_is_none_is_no_answer(root: Path, tmp_path: Path) -> None:
    ask = tmp_path / "busctl"
    ask.write_text("#!/bin/sh\necho 'no such service' >&2; exit 1\n")
    ask.chmod(0o755)
    assert system_of(root, str(ask)).said_metered_or_none() is None
