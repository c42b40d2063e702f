"""What the kernel says of CAN interfaces: its own bytes, captured, and the same with other values written into them."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.drivers.can import link_state
from cardan.drivers.can.link_state import parse_link, read_link_or_none, read_links
from cardan.drivers.can.netlink import LINK, attributes, link_messages, link_request, messages
from cardan.runtime.can_health import CanLink
from cardan.runtime.errors import DeviceError

CAPTURED = json.loads((Path(__file__).parent / "netlink_bodies.json").read_text())
CAN0, VCAN0 = bytes.fromhex(CAPTURED["can0"]), bytes.fromhex(CAPTURED["vcan0"])
LINKINFO, DATA, XSTATS = 18, 2, 3


def parsed(body: bytes) -> CanLink:
    link = parse_link(body)
    assert link is not None
    return link


def packed(tree: dict[int, bytes]) -> bytes:
    return b"".join(
        struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in tree.items()
    )


def changed(*, controller: dict[int, bytes], events: bytes = b"", link: dict[int, bytes] | None = None) -> bytes:
    """The captured body of can0 with other values in it."""
    outer = attributes(CAN0[LINK.size :]) | (link or {})
    information = attributes(outer[LINKINFO])
    information[DATA] = packed(attributes(information[DATA]) | controller)
    information[XSTATS] = events or information[XSTATS]
    outer[LINKINFO] = packed(information)
    return CAN0[: LINK.size] + packed(outer)


def test_a_real_card_is_told_as_the_kernel_has_it() -> None:
    link = parsed(CAN0)
    assert (link.name, link.kind, link.up, link.carries_fd, link.transmit_queue_frames) == (
        "can0",
        "can",
        True,
        False,
        128,
    )
    assert (link.bus_state, link.bitrate, link.sample_point, link.restart_ms) == ("ERROR-ACTIVE", 500_000, 0.875, 100)
    assert (link.transmit_errors, link.receive_errors, link.bus_offs, link.listen_only) == (0, 0, 0, False)
    assert (link.frames_sent, link.frames_received, link.send_drops, link.receive_drops) == (2001, 0, 0, 0)


def test_what_a_virtual_interface_does_not_say_is_none_and_not_zero() -> None:
    link = parsed(VCAN0)
    assert (link.kind, link.up, link.carries_fd, link.frames_sent) == ("vcan", True, True, 1551)
    assert (link.bus_state, link.bitrate, link.transmit_errors, link.restarts, link.listen_only) == (None,) * 5


def test_a_controller_in_trouble_is_told_in_full() -> None:
    body = changed(
        controller={
            4: struct.pack("=I", 2),
            5: struct.pack("=II", 0, 0x22),
            6: struct.pack("=I", 0),
            8: struct.pack("=HH", 128, 3),
            9: struct.pack("=II", 2_000_000, 750) + bytes(24),
        },
        events=struct.pack("=6I", 17, 6, 5, 4, 2, 9),
        link={4: struct.pack("=I", 72), 13: struct.pack("=I", 10), 23: struct.pack("=8Q", 10, 20, 80, 160, 1, 3, 7, 9)},
    )
    link = parsed(body)
    assert (link.bus_state, link.transmit_errors, link.receive_errors) == ("ERROR-PASSIVE", 128, 3)
    assert (link.restart_ms, link.data_bitrate, link.carries_fd, link.listen_only) == (0, 2_000_000, True, True)
    assert (link.bus_errors, link.warnings, link.passives, link.bus_offs) == (17, 6, 5, 4)
    assert (link.arbitrations_lost, link.restarts) == (2, 9)
    assert (link.frames_received, link.frames_sent, link.receive_drops, link.send_drops) == (10, 20, 7, 9)


@pytest.mark.parametrize(("number", "name"), [(0, "ERROR-ACTIVE"), (3, "BUS-OFF"), (4, "STOPPED"), (9, "state 9")])
def test_every_state_has_a_name_also_one_of_a_later_kernel(number: int, name: str) -> None:
    assert parsed(changed(controller={4: struct.pack("=I", number)})).bus_state == name


def test_an_interface_that_was_never_configured_has_no_bit_rate() -> None:
    link = parsed(changed(controller={1: bytes(32)}))
    assert (link.bitrate, link.sample_point) == (None, None)


def test_an_interface_of_another_kind_is_passed_over() -> None:
    assert parse_link(LINK.pack(0, 772, 1, 0, 0)) is None


@given(st.binary(max_size=600), st.integers(0, len(CAN0)))
def test_damaged_bytes_are_an_error_of_ours_or_a_link(noise: bytes, at: int) -> None:
    for body in (CAN0[:at] + noise, CAN0[:at] + noise + CAN0[at + len(noise) :]):
        try:
            parse_link(body)
        except DeviceError as error:
            assert "damaged" in error.message


def test_this_kernel_answers_and_knows_its_loopback_interface() -> None:
    assert any(attributes(body[LINK.size :])[3] == b"lo\0" for body in link_messages())
    (loopback,) = link_messages("lo")
    assert parse_link(loopback) is None


def test_an_interface_that_is_not_there_is_no_answer() -> None:
    assert link_messages("nocan7") == []
    assert read_link_or_none("nocan7") is None
    assert read_link_or_none("a-name-that-no-interface-can-have") is None


def test_a_request_for_one_interface_carries_its_name() -> None:
    ((kind, body),) = messages(link_request("vcan0"))
    assert kind == 18
    assert attributes(body[LINK.size :]) == {3: b"vcan0\0"}


def test_a_kernel_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "send", lambda *_: 0)
    with pytest.raises(DeviceError, match="does not tell the state of the CAN interfaces: timed out"):
        link_messages(limit_s=0.01)


def test_a_process_that_may_not_ask_is_told_what_its_unit_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(socket.socket, "send", refuse)
    with pytest.raises(DeviceError) as error:
        link_messages()
    assert error.value.hint == "a systemd unit needs RestrictAddressFamilies=AF_NETLINK"


def test_the_driver_of_an_adapter_is_the_one_that_sysfs_links_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "can0" / "device").mkdir(parents=True)
    (tmp_path / "can0" / "device" / "driver").symlink_to("../../../bus/usb/drivers/gs_usb")
    monkeypatch.setattr(link_state, "SYSFS_NET", tmp_path)
    monkeypatch.setattr(link_state, "link_messages", lambda name="": [CAN0, VCAN0])
    assert {name: link.driver for name, link in read_links().items()} == {"can0": "gs_usb", "vcan0": ""}
