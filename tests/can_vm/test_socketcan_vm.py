"""The driver on the kernel's own CAN: vcan, and two emulated Kvaser cards on one bus, in a guest with a real kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.can_vm, pytest.mark.slow, pytest.mark.timeout(240)]

Guest = dict[str, dict[str, Any]]
PAYLOAD = "0001020304050607"


def test_classic_frames_arrive_as_they_were_sent(guest: Guest) -> None:
    assert guest["classic"]["frames"] == [
        [0x123, "0102", False, False, False],
        [0x18DB33F1, "", True, False, False],
        [0x7FF, PAYLOAD, False, False, False],
    ]


def test_stamps_are_the_kernels_on_the_monotonic_clock(guest: Guest) -> None:
    assert guest["classic"]["stamps_between"]


def test_own_frames_are_confirmed_and_never_received(guest: Guest) -> None:
    seen = guest["classic"]
    assert seen["own"] == []
    assert seen["confirmed"] == seen["frames"]
    assert (seen["counters"][0]["confirmed"], seen["counters"][1]["confirmed"]) == (3, 0)


def test_can_fd_carries_every_length(guest: Guest) -> None:
    seen = guest["fd_frames"]
    expected = [[0x100 + size, bytes(range(size)).hex(), False, True, False] for size in seen["lengths"]]
    assert seen["frames"] == [*expected, [0x10, "01", False, False, False]]


def test_a_channel_without_fd_hears_the_classic_frames_only(guest: Guest) -> None:
    assert guest["fd_frames"]["without_fd"] == [[0x10, "01", False, False, False]]


def test_python_can_and_this_driver_understand_each_other(guest: Guest) -> None:
    seen = guest["python_can_agrees"]
    assert seen["theirs"] == [
        [0x123, "0102", False, False, False],
        [0x1ABCDEF0, PAYLOAD, True, False, False],
        [0x55, bytes(range(64)).hex(), False, True, True],
    ]
    assert seen["ours"] == [[0x321, "09", False, False, False], [0x77, bytes(48).hex(), True, True, False]]
    assert seen["ignored"] == 1


def test_a_channel_for_sending_only_receives_nothing(guest: Guest) -> None:
    seen = guest["send_only"]
    assert (seen["received"], seen["descriptor"]) == (500, -1)
    assert "sending only" in seen["refused"][0]


def test_error_frames_arrive_with_their_meaning(guest: Guest) -> None:
    seen = guest["error_frames"]
    assert seen["error"] == [True] * 5
    bus_off, passive, arbitration, timeout, restarted = seen["reports"]
    assert (bus_off["bus_off"], bus_off["transmit_errors"]) == (True, 248)
    assert (passive["error_passive"], passive["transmit_errors"], passive["receive_errors"]) == (True, 128, 1)
    assert arbitration["arbitration_bit"] == 11
    assert (timeout["tx_timeout"], restarted["restarted"]) == (True, True)


def test_a_simulated_error_frame_is_never_given_to_hardware(guest: Guest) -> None:
    assert "can0 cannot simulate an error frame" in guest["error_frames"]["on_hardware"][0]


def test_what_the_kernel_drops_is_counted_to_the_frame(guest: Guest) -> None:
    seen = guest["overflow"]
    assert seen["last"] == 1
    assert seen["dropped"] > 0
    assert seen["held"] + seen["dropped"] == 1000


def test_a_full_queue_of_the_kernel_is_waited_for_and_what_is_too_old_is_dropped(guest: Guest) -> None:
    seen = guest["full_transmit_queue"]
    counters = seen["counters"]
    assert seen["waited"] > 0
    assert seen["most_waiting"] == 64
    assert seen["left"] == 0
    assert seen["in_order"]
    assert seen["refused"] > 0
    assert counters["send_dropped"] > 0
    assert counters["sent"] + counters["send_dropped"] == 220
    assert seen["arrived"] == counters["sent"]


def test_every_frame_between_two_cards_arrives_in_order_and_is_confirmed(guest: Guest) -> None:
    seen = guest["kvaser_pair"]
    assert (seen["arrived"], seen["in_order"], seen["errors"]) == (2000, True, 0)
    assert (seen["sent"]["sent"], seen["sent"]["confirmed"], seen["sent"]["send_dropped"]) == (2000, 2000, 0)


def test_an_interface_that_goes_down_is_noticed_and_the_command_brings_it_back(guest: Guest) -> None:
    seen = guest["interface_down"]
    command = "`ip link set can1 up type can bitrate 500000`"
    for what in ("receiving", "sending", "opening"):
        message, hint = seen[what]
        assert "down" in message, what
        assert command in hint, what
    assert seen["back"] == [[0x42, "", False, False, False]]


def test_what_cannot_be_opened_says_why(guest: Guest) -> None:
    seen = guest["refusals"]
    for what in ("absent", "not_can", "nameless"):
        assert "no such CAN interface" in seen[what][0], what
    assert "carries no CAN FD" in seen["no_fd"][0]


def test_the_link_states_over_netlink_are_those_that_ip_prints(guest: Guest) -> None:
    seen = guest["links"]
    printed = {link["ifname"]: link for link in seen["ip"] if link.get("link_type") == "can"}
    assert sorted(seen["states"]) == sorted(printed) == ["can0", "can1", "vcan0"]
    for name, link in printed.items():
        state, kind = seen["states"][name], link["linkinfo"]
        assert (state["kind"], state["transmit_queue_frames"]) == (kind["info_kind"], link["txqlen"])
        assert (state["up"], state["carries_fd"]) == ("UP" in link["flags"], link["mtu"] == 72)
        rx, tx = link["stats64"]["rx"], link["stats64"]["tx"]
        assert (state["frames_received"], state["frames_sent"]) == (rx["packets"], tx["packets"])
        assert (state["receive_drops"], state["send_drops"]) == (rx["dropped"], tx["dropped"])
    for name in ("can0", "can1"):
        state, data, events = (
            seen["states"][name],
            *(printed[name]["linkinfo"][key] for key in ("info_data", "info_xstats")),
        )
        assert (state["bus_state"], state["restart_ms"]) == (data["state"], data["restart_ms"])
        assert (state["bitrate"], state["sample_point"]) == (
            data["bittiming"]["bitrate"],
            float(data["bittiming"]["sample_point"]),
        )
        assert (state["transmit_errors"], state["receive_errors"]) == (
            data["berr_counter"]["tx"],
            data["berr_counter"]["rx"],
        )
        assert (state["restarts"], state["bus_errors"], state["bus_offs"]) == (
            events["restarts"],
            events["bus_error"],
            events["bus_off"],
        )
        assert (state["arbitrations_lost"], state["warnings"], state["passives"]) == (
            events["arbitration_lost"],
            events["error_warning"],
            events["error_passive"],
        )
        assert state["driver"] == "kvaser_pci"
    assert seen["states"]["can0"]["frames_sent"] >= 2000
    assert (seen["states"]["vcan0"]["bus_state"], seen["states"]["vcan0"]["driver"]) == (None, "")
    assert seen["one"]["name"] == "can1"
    assert seen["absent"] is None


def test_the_commands_work_on_an_interface_without_any_vehicle(guest: Guest) -> None:
    seen = guest["commands"]
    listed = json.loads(seen["list"]["out"])
    assert [item["name"] for item in listed["interfaces"]] == ["can0", "can1", "vcan0"]
    health = json.loads(seen["health"]["out"])
    (channel,) = health["channels"]
    assert (health["verdict"], seen["health"]["code"]) == ("healthy", 0)
    assert (channel["interface"], channel["device"], channel["ids"]) == ("socketcan", "vcan0", 1)
    lines = seen["dump"]["out"].splitlines()
    assert len(lines) == 5
    assert all(" vcan0 123#" in line for line in lines)
    assert seen["sniff"]["out"].splitlines()[1].startswith("vcan0    123")
    assert (seen["absent"]["code"], '"can7" is no channel' in seen["absent"]["err"]) == (2, True)


def test_health_of_a_controller_names_silence_a_down_interface_and_the_traps(guest: Guest) -> None:
    seen = guest["commands"]
    (silent,) = json.loads(seen["silent"]["out"])["channels"]
    assert (silent["link"]["bus_state"], silent["link"]["driver"]) == ("ERROR-ACTIVE", "kvaser_pci")
    assert [item["code"] for item in silent["findings"]] == ["silent"]
    (down,) = json.loads(seen["down"]["out"])["channels"]
    findings = {item["code"]: item for item in down["findings"]}
    assert list(findings) == ["down", "short-queue", "no-restart"]
    assert findings["short-queue"]["fix"] == "`ip link set can1 txqueuelen 128`"
    assert "ip link set can1 up" in findings["down"]["fix"]
    assert (seen["silent"]["code"], seen["down"]["code"]) == (1, 1)


def test_a_wall_clock_that_jumps_an_hour_does_not_disturb_the_guard(guest: Guest) -> None:
    jumped = guest["wall_clock_jumps"]
    assert jumped["jumps_s"] == [3600, -7200]
    assert jumped["causes"] == ["driver-engage", "armed"]
    assert set(jumped["states"]) == {"enabled"}
    assert jumped["age_s"] < 1.0
