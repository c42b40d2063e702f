"""Channels of a profile without a run, interfaces of the kernel, and who has a bench bus open."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cardan.drivers.can.loopback import LoopbackChannel
from cardan.firmware_bridge.cli import can_list, can_target
from cardan.firmware_bridge.cli.can_holders import socket_inodes, udp_inodes
from cardan.runtime.can_health import CanLink
from cardan.runtime.profile import CanChannelSettings

Ask = Callable[..., Any]
PROFILE = """schema = 1
name = "desk"
[cores]
[can.vehicle]
interface = "udp_multicast"
channel = "239.74.163.2"
port = {port}
[can.radar]
interface = "socketcan"
channel = "nocan7"
"""


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def profile(tmp_path: Path, port: int) -> Path:
    path = tmp_path / "desk.toml"
    path.write_text(PROFILE.format(port=port))
    return path


@pytest.fixture
def sender(port: int) -> Iterator[LoopbackChannel]:
    """Somebody on the bench bus who sends one frame after the other."""
    channel = LoopbackChannel(CanChannelSettings(name="vehicle", port=port), listen=False)
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.002):
            channel.send(0x123, b"\x01\x02")

    thread = threading.Thread(target=send)
    thread.start()
    yield channel
    stop.set()
    thread.join()
    channel.close()


def test_a_channel_of_a_profile_is_listened_to_without_any_run(cardan: Ask, profile: Path, sender: object) -> None:
    said = cardan("dump", "vehicle", "--profile", profile, "--count", 5, "--json")
    assert [(record["channel"], record["data"]) for record in said.records] == [("vehicle", "0102")] * 5


def test_health_of_a_profile_judges_each_channel_for_itself(cardan: Ask, profile: Path, sender: object) -> None:
    said = cardan("health", "--profile", profile, "--for", "100ms", "--json")
    vehicle, radar = said.document["channels"]
    assert said.code == 1
    assert (vehicle["channel"], vehicle["findings"]) == ("vehicle", [])
    assert vehicle["frames"] > 5
    assert [item["code"] for item in radar["findings"]] == ["absent"]
    assert said.document["verdict"].startswith("radar: there is no CAN interface nocan7")


def test_a_silent_bench_bus_is_a_finding_and_not_an_error(cardan: Ask, profile: Path) -> None:
    said = cardan("health", "vehicle", "--profile", profile, "--for", "50ms")
    assert said.code == 1
    assert said.lines[0] == "vehicle: no frame for 0.1 s"
    assert any(line.strip().startswith("fix: is the vehicle awake?") for line in said.lines)


def test_nothing_on_a_bus_is_no_data_for_a_stream(cardan: Ask, profile: Path) -> None:
    assert cardan("dump", "vehicle", "--profile", profile, "--for", "50ms").code == 3


def test_list_of_a_profile(cardan: Ask, profile: Path, port: int) -> None:
    said = cardan("list", "--profile", profile)
    assert said.lines[0] == "profile desk: 2 CAN channels"
    assert said.lines[2].split() == ["vehicle", "udp_multicast", f"239.74.163.2:{port}", "500", "kbit/s", "-"]


@pytest.mark.parametrize(("name", "said"), [("vehicel", 'did you mean "vehicle"'), ("can9", "profile desk has no CAN")])
def test_an_unknown_channel_of_a_profile_is_a_mistake(cardan: Ask, profile: Path, name: str, said: str) -> None:
    answer = cardan("dump", name, "--profile", profile)
    assert answer.code == 2
    assert said in answer.err


def link(name: str, **changes: Any) -> CanLink:
    fields: dict[str, Any] = {"kind": "can", "up": True, "carries_fd": False, "transmit_queue_frames": 10}
    return CanLink(name=name, **{**fields, **changes})


def test_interfaces_are_listed_and_one_that_is_not_well_stands_out(
    cardan: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = {
        "can0": link("can0", bus_state="BUS-OFF", bitrate=500_000, driver="gs_usb"),
        "vcan0": link("vcan0", kind="vcan", carries_fd=True),
    }
    monkeypatch.setattr(can_list, "read_links", lambda: links)
    said = cardan("list")
    assert said.lines[2] == "this computer: 2 CAN interfaces"
    assert said.lines[4].split() == ["can0", "can", "BUS-OFF", "500", "kbit/s", "no", "10", "gs_usb", "-"]
    assert said.lines[5].split() == ["vcan0", "vcan", "up", "-", "yes", "10", "-", "-"]
    assert [line.role for line in can_list.link_lines(links, [])[2:]] == ["warning", "plain"]


def test_an_interface_can_be_named_without_any_run(cardan: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(can_target, "read_links", lambda: {"nocan7": link("nocan7")})
    said = cardan("dump", "nocan7")
    assert said.code == 1
    assert "cannot open channel nocan7 (socketcan nocan7)" in said.err


def test_the_kernel_shows_which_process_has_a_bench_bus_open(port: int) -> None:
    settings = CanChannelSettings(name="vehicle", port=port)
    channel = LoopbackChannel(settings)
    held = socket_inodes(os.getpid())
    assert held is not None
    assert len(held & udp_inodes(settings.channel, port)) == 2  # it sends with one socket and listens with the other
    channel.close()
    assert not udp_inodes(settings.channel, port)


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert socket_inodes(2**22 + 1) is None
