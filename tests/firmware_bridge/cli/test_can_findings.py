"""From facts to findings: each trouble of an interface, of the traffic, of the vehicle, and each known trap."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cardan.drivers.can.candump import LoggedFrame
from cardan.drivers.can.error_frames import decode_error_frame
from cardan.firmware_bridge.cli.can_findings import Facts, Finding, findings
from cardan.firmware_bridge.cli.can_health import dropped_of, report_of
from cardan.firmware_bridge.cli.can_traffic import Traffic, frame_bits, missing_and_slow
from cardan.firmware_bridge.frame_reader import Expected
from cardan.runtime.can_health import CanLink
from cardan.runtime.cli.snapshot import NodeShot, SeriesShot
from cardan.runtime.errors import DeviceError
from cardan.runtime.messages import CanFrame
from cardan.runtime.plan import NodePlan
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.vitals import SeriesKind, SeriesPlan

CAN0 = CanChannelSettings(name="vehicle", interface="socketcan", channel="can0")
BENCH = CanChannelSettings(name="vehicle", interface="udp_multicast")


def link(**changes: Any) -> CanLink:
    fields: dict[str, Any] = {
        "name": "can0",
        "kind": "can",
        "driver": "mcp251xfd",
        "up": True,
        "carries_fd": False,
        "transmit_queue_frames": 128,
        "bus_state": "ERROR-ACTIVE",
        "bitrate": 500_000,
        "restart_ms": 100,
        "transmit_errors": 0,
        "receive_errors": 0,
        "bus_offs": 0,
    }
    return CanLink(**{**fields, **changes})


def facts(**changes: Any) -> Facts:
    traffic = Traffic()
    traffic.frames = 100
    fields: dict[str, Any] = {
        "channel": "vehicle",
        "settings": CAN0,
        "link": link(),
        "live": True,
        "traffic": traffic,
        "duration_s": 2.0,
        "load": 0.3,
        "kernel": "6.8.0-48-generic",
    }
    return Facts(**{**fields, **changes})


def traffic(**values: Any) -> Traffic:
    made = Traffic(frames=100)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def only(given: Facts) -> Finding:
    (found,) = findings(given)
    return found


def test_a_good_controller_on_a_good_bus_has_no_finding() -> None:
    assert findings(facts()) == []
    assert findings(facts(settings=BENCH, link=None)) == []
    assert findings(facts(settings=None, link=None, live=False)) == []


@pytest.mark.parametrize(
    ("changes", "code", "severity", "text"),
    [
        ({"up": False, "bus_state": "STOPPED"}, "down", "bad", "can0 is down"),
        (
            {"bus_state": "BUS-OFF", "transmit_errors": 248},
            "bus-off",
            "bad",
            "can0 is BUS-OFF (TEC 248, REC 0)",
        ),
        ({"bus_state": "ERROR-PASSIVE", "transmit_errors": 128}, "error-passive", "bad", "TEC 128"),
        ({"bus_state": "ERROR-WARNING", "receive_errors": 97}, "error-warning", "warning", "REC 97"),
        ({"bitrate": 250_000}, "bit-rate", "bad", "can0 runs at 250000 bit/s, the profile says 500000"),
        ({"listen_only": True}, "listen-only", "note", "can0 only listens"),
        ({"transmit_queue_frames": 10}, "short-queue", "warning", "holds 10 frames"),
        ({"transmit_queue_frames": 5000}, "long-queue", "note", "commands may wait"),
        ({"restart_ms": 0}, "no-restart", "note", "until somebody restarts it"),
        ({"bus_offs": 4}, "bus-offs", "note", "went bus-off 4 times"),
    ],
)
def test_what_the_kernel_says_is_judged(changes: dict[str, Any], code: str, severity: str, text: str) -> None:
    found = only(facts(link=link(**changes)))
    assert (found.code, found.severity) == (code, severity)
    assert text in found.text
    assert found.fix


def test_the_fix_depends_on_which_counter_is_high() -> None:
    sends = only(facts(link=link(bus_state="ERROR-PASSIVE", transmit_errors=128, receive_errors=1)))
    hears = only(facts(link=link(bus_state="ERROR-PASSIVE", transmit_errors=0, receive_errors=130)))
    assert sends.fix.startswith("nobody acknowledges")
    assert hears.fix.startswith("it hears broken frames")


def test_an_interface_that_is_not_there_is_a_finding_only_while_it_matters() -> None:
    assert only(facts(link=None)).code == "absent"
    assert findings(facts(link=None, live=False)) == []


def test_can_fd_that_the_interface_does_not_carry() -> None:
    settings = CanChannelSettings(name="vehicle", interface="socketcan", channel="can0", fd=True)
    assert only(facts(settings=settings)).code == "no-fd"


def test_a_virtual_interface_falls_into_no_trap() -> None:
    virtual = link(kind="vcan", bus_state=None, bitrate=None, transmit_queue_frames=10, restart_ms=None, bus_offs=None)
    assert findings(facts(link=virtual)) == []


@pytest.mark.parametrize(
    ("driver", "kernel", "codes"),
    [
        ("gs_usb", "6.1.0-56-amd64", ["gs-usb-order"]),
        ("gs_usb", "5.15.148-tegra", ["gs-usb-order"]),
        ("gs_usb", "6.6.0", []),
        ("gs_usb", "6.12.1", []),
        ("kvaser_usb", "6.1.0", []),
    ],
)
def test_gs_usb_may_reorder_frames_before_kernel_6_6(driver: str, kernel: str, codes: list[str]) -> None:
    assert [item.code for item in findings(facts(link=link(driver=driver), kernel=kernel))] == codes


def test_an_interface_of_python_can_does_not_tell_its_state() -> None:
    settings = CanChannelSettings(name="vehicle", interface="pcan", channel="PCAN_USBBUS1")
    assert (only(facts(settings=settings, link=None)).code, only(facts(settings=settings, link=None)).severity) == (
        "no-state",
        "note",
    )


def test_a_silent_bus_is_bad_and_nothing_else_is_said_about_its_messages() -> None:
    assert only(facts(traffic=Traffic(), missing=["SPEED"])).code == "silent"


def test_a_channel_that_cannot_be_listened_to_says_why() -> None:
    found = only(facts(traffic=Traffic(), trouble=DeviceError("can0 is busy", hint="wait")))
    assert (found.code, found.text, found.fix) == ("cannot-listen", "can0 is busy", "wait")


@pytest.mark.parametrize(
    ("frame_id", "data", "severity"),
    [(0x040, bytes(8), "bad"), (0x080, bytes(8), "warning")],
)
def test_error_frames_are_as_bad_as_what_they_say(frame_id: int, data: bytes, severity: str) -> None:
    report = decode_error_frame(frame_id, data)
    assert only(facts(traffic=traffic(error_frames=3, newest_error=report))).severity == severity


def test_a_full_bus_is_a_finding() -> None:
    assert only(facts(load=0.81)).code == "load"
    assert findings(facts(load=0.79)) == []


def test_messages_that_are_relied_on_weigh_more_than_others() -> None:
    found = findings(facts(missing=["SPEED", "CLOCK"], relied_on={"SPEED"}))
    assert [(item.severity, item.text.rsplit(": ", 1)[1]) for item in found] == [("bad", "SPEED"), ("warning", "CLOCK")]


def test_a_long_list_is_cut_with_its_length() -> None:
    assert only(facts(slow=[f"M{number}" for number in range(9)])).text.endswith("M5 and 3 more")


def test_what_the_vehicle_reports_counts_for_its_last_run_and_is_a_note_while_it_runs() -> None:
    assert [item.code for item in findings(facts(dropped=7, reports=["can reported: silent"]))] == [
        "dropped",
        "reported",
    ]
    assert findings(facts(reports=["x"]))[0].severity == "note"
    assert findings(facts(reports=["x"], live=False))[0].severity == "warning"


def test_the_worst_comes_first() -> None:
    found = findings(facts(link=link(up=False, restart_ms=0, transmit_queue_frames=10), traffic=Traffic()))
    assert [(item.severity, item.code) for item in found] == [
        ("bad", "down"),
        ("warning", "short-queue"),
        ("note", "no-restart"),
    ]


# -------------------------------------------------------------------------------------------------------------- traffic


def frame(length: int, **kind: bool) -> CanFrame:
    return CanFrame("can0", 0x123, bytes(length), 1, **kind)


@pytest.mark.parametrize(
    ("given", "bits"),
    [
        (frame(8), (135, 0)),  # the longest classic frame: 111 bits, and 24 of stuffing at worst
        (frame(0), (55, 0)),
        (frame(8, extended=True), (160, 0)),
    ],
)
def test_the_bits_of_a_classic_frame_are_those_of_the_standard_at_worst(given: CanFrame, bits: tuple[int, int]) -> None:
    assert frame_bits(given) == bits


def test_most_of_a_can_fd_frame_goes_at_the_fast_rate() -> None:
    slow, fast = frame_bits(frame(64, fd=True))
    assert 30 <= slow <= 40
    assert 512 < fast < 720


def test_the_load_is_the_share_of_time_that_frames_take() -> None:
    seen = Traffic()
    for _ in range(1000):
        seen.see(LoggedFrame(frame=frame(8)), None)
    assert seen.load(1.0, 500_000) == pytest.approx(0.27)
    assert seen.load(0.0, 500_000) is None
    fast = Traffic()
    fast.see(LoggedFrame(frame=frame(64, fd=True)), None)
    assert (fast.load(1.0, 500_000, 8_000_000) or 0) < (fast.load(1.0, 500_000) or 0)


def test_error_frames_are_no_traffic() -> None:
    seen = Traffic()
    seen.see(LoggedFrame(frame=frame(8, error=True)), None)
    assert (seen.frames, seen.error_frames, seen.slow_bits) == (0, 1, 0)


def expected(name: str, frame_id: int, period_s: float | None) -> Expected:
    return Expected(message=name, id=frame_id, extended=False, period_s=period_s, relied_on=False)


def test_a_message_is_missing_only_after_it_had_time_to_come() -> None:
    seen = Traffic()
    for _ in range(100):
        seen.see(LoggedFrame(frame=frame(8)), None)
    wanted = [
        expected("THERE", 0x123, 0.01),
        expected("GONE", 0x124, 0.01),
        expected("RARE", 0x125, 1.0),
        expected("WHEN_IT_HAPPENS", 0x126, None),
    ]
    assert missing_and_slow(seen, wanted, 1.0) == (["GONE"], [])
    assert missing_and_slow(seen, wanted, 3.0) == (["GONE", "RARE"], ["THERE"])


# ------------------------------------------------------------------------------------------------- what nodes reported


def node(**changes: Any) -> NodeShot:
    plan = NodePlan(name="can", index=0, use="x:Can", channels=["vehicle"])
    fields: dict[str, Any] = {field.name: 0 for field in msgspec.structs.fields(NodeShot)}
    return NodeShot(**{**fields, "plan": plan, "series": [], "fault": None, **changes})


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (
            "can-silent",
            "no frame on channel vehicle",
            "can reported 2.0 s after its start: no frame on channel vehicle",
        ),
        ("can-silent", "no frame on radar", ""),
        ("crash", "vehicle fell over", ""),
    ],
)
def test_a_fault_of_a_node_is_told_when_it_speaks_of_this_channel(code: str, text: str, expected: str) -> None:
    assert report_of(node(started_ns=1_000_000_000, fault=(3_000_000_000, code, text)), "vehicle") == expected
    assert report_of(node(), "vehicle") == ""


def test_frames_that_a_reader_lost_are_counted_whole() -> None:
    plan = SeriesPlan(name="frames_dropped", topic="", kind=SeriesKind.METRIC, unit="count")
    fields: dict[str, Any] = {field.name: 0 for field in msgspec.structs.fields(SeriesShot)}
    assert dropped_of(node(series=[SeriesShot(**{**fields, "plan": plan, "sum": 7_000_000})])) == 7
