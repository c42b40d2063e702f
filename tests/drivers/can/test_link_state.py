from __future__ import annotations

import copy
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from cardan.drivers.can.link_state import parse_link_states, read_link_states
from cardan.runtime.errors import DeviceError

CAN0: dict[str, Any] = {
    "ifindex": 2,
    "ifname": "can0",
    "flags": ["NOARP", "UP", "LOWER_UP", "ECHO"],
    "mtu": 72,
    "qdisc": "pfifo_fast",
    "operstate": "UP",
    "txqlen": 10,
    "link_type": "can",
    "linkinfo": {
        "info_kind": "can",
        "info_data": {
            "ctrlmode": ["FD"],
            "state": "ERROR-PASSIVE",
            "berr_counter": {"tx": 128, "rx": 3},
            "restart_ms": 100,
            "bittiming": {"bitrate": 500000, "sample_point": "0.875", "tq": 125},
            "data_bittiming": {"bitrate": 2000000, "sample_point": "0.750"},
            "clock": 40000000,
        },
        "info_xstats": {
            "restarts": 4,
            "bus_error": 17,
            "arbitration_lost": 2,
            "error_warning": 6,
            "error_passive": 5,
            "bus_off": 4,
        },
    },
    "stats64": {
        "rx": {"bytes": 80, "packets": 10, "errors": 1, "dropped": 7},
        "tx": {"bytes": 160, "packets": 20, "errors": 3, "dropped": 9},
    },
}
VCAN0 = {"ifname": "vcan0", "flags": ["UP"], "mtu": 16, "txqlen": 1000, "link_type": "can"}
VCAN0 |= {"linkinfo": {"info_kind": "vcan"}}
LOOPBACK = {"ifname": "lo", "flags": ["UP"], "mtu": 65536, "link_type": "loopback"}


def test_a_controller_in_trouble_is_told_in_full() -> None:
    state = parse_link_states(json.dumps([LOOPBACK, CAN0]))["can0"]
    assert (state.kind, state.up, state.carries_fd, state.transmit_queue_frames) == ("can", True, True, 10)
    assert (state.bus_state, state.transmit_errors, state.receive_errors) == ("ERROR-PASSIVE", 128, 3)
    assert (state.bitrate, state.sample_point, state.data_bitrate, state.restart_ms) == (500_000, 0.875, 2_000_000, 100)
    assert (state.restarts, state.bus_errors, state.arbitrations_lost) == (4, 17, 2)
    assert (state.warnings, state.passives, state.bus_offs) == (6, 5, 4)
    assert (state.frames_received, state.frames_sent, state.receive_drops, state.send_drops) == (10, 20, 7, 9)


def test_what_a_virtual_interface_does_not_say_is_none_and_not_zero() -> None:
    state = parse_link_states(json.dumps([VCAN0]))["vcan0"]
    assert (state.kind, state.up, state.carries_fd) == ("vcan", True, False)
    assert (state.bus_state, state.bitrate, state.transmit_errors, state.restarts) == (None, None, None, None)


def test_an_interface_that_was_never_configured_is_down() -> None:
    link = copy.deepcopy(CAN0)
    link["flags"] = ["NOARP", "ECHO"]
    link["linkinfo"]["info_data"] = {"state": "STOPPED", "restart_ms": 0}
    state = parse_link_states(json.dumps([link]))["can0"]
    assert (state.up, state.bus_state, state.bitrate, state.restart_ms) == (False, "STOPPED", None, 0)


@pytest.mark.parametrize("text", ["", "\n", "[]", "[{}]", json.dumps([LOOPBACK, {}])])
def test_a_computer_without_can_has_no_states(text: str) -> None:
    assert parse_link_states(text) == {}


def test_sample_points_of_old_iproute2_are_numbers() -> None:
    link = copy.deepcopy(CAN0)
    link["linkinfo"]["info_data"]["bittiming"]["sample_point"] = 0.8
    assert parse_link_states(json.dumps([link]))["can0"].sample_point == 0.8


@pytest.mark.parametrize("text", ["2: can0: <NOARP,UP>", '{"ifname": 3}', '[{"ifname": "can0", "mtu": "x"}]', b"\xff"])
def test_something_else_than_the_json_of_ip_is_an_error_with_a_hint(text: str | bytes) -> None:
    with pytest.raises(DeviceError) as error:
        parse_link_states(text)
    assert error.value.hint is not None
    assert "iproute2" in error.value.hint


@pytest.fixture
def fake_ip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "ip"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def test_the_states_of_this_computer_come_from_ip(fake_ip: Path) -> None:
    fake_ip.write_text(f"#!/bin/sh\necho '{json.dumps([CAN0])}'\n")
    assert list(read_link_states()) == ["can0"]


def test_a_failing_ip_is_an_error_with_its_words(fake_ip: Path) -> None:
    fake_ip.write_text("#!/bin/sh\necho 'Cannot open netlink socket' >&2\nexit 1\n")
    with pytest.raises(DeviceError, match="Cannot open netlink socket"):
        read_link_states()


def test_an_ip_that_hangs_is_given_up(fake_ip: Path) -> None:
    fake_ip.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(DeviceError, match=r"no answer within 0\.05 s"):
        read_link_states(limit_s=0.05)


def test_without_ip_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(DeviceError) as error:
        read_link_states()
    assert error.value.hint == "apt-get install iproute2"
