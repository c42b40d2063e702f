from __future__ import annotations

import can.interfaces.socketcan.constants as linux
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.drivers.can import error_frames
from cardan.drivers.can.error_frames import ErrorReport, decode_error_frame, describe

ANY_ID = st.integers(0, 0x1FFF_FFFF)
ANY_DATA = st.binary(max_size=64)


def test_bus_off_with_its_counters() -> None:
    report = decode_error_frame(0x240, bytes([0, 0, 0, 0, 0, 0, 248, 3]))
    assert report == ErrorReport(bus_off=True, transmit_errors=248, receive_errors=3)
    assert report.is_fault
    assert describe(report) == "bus-off (TEC 248, REC 3)"


@pytest.mark.parametrize("status", [0x10, 0x20, 0x30])
def test_error_passive_in_either_direction(status: int) -> None:
    report = decode_error_frame(0x204, bytes([0, status, 0, 0, 0, 0, 0, 135]))
    assert report == ErrorReport(error_passive=True, transmit_errors=0, receive_errors=135)
    assert report.is_fault


@pytest.mark.parametrize(
    ("status", "field"), [(0x04, "error_warning"), (0x08, "error_warning"), (0x40, "error_active")]
)
def test_a_warning_and_the_way_back_are_no_faults(status: int, field: str) -> None:
    report = decode_error_frame(0x004, bytes([0, status, 0, 0, 0, 0, 0, 0]))
    assert [name for name, value in _flags(report).items() if value] == [field]
    assert not report.is_fault


def test_arbitration_lost_names_the_bit_where_it_is_known() -> None:
    assert decode_error_frame(0x002, bytes([11])) == ErrorReport(arbitration_lost=True, arbitration_bit=11)
    assert decode_error_frame(0x002, bytes([0])) == ErrorReport(arbitration_lost=True)


def test_a_transmit_timeout_is_a_fault_and_a_restart_is_none() -> None:
    assert decode_error_frame(0x001, bytes(8)) == ErrorReport(tx_timeout=True)
    assert decode_error_frame(0x001, bytes(8)).is_fault
    assert decode_error_frame(0x100, bytes(8)) == ErrorReport(restarted=True)
    assert not decode_error_frame(0x100, bytes(8)).is_fault


def test_a_protocol_error_says_kind_place_and_direction() -> None:
    report = decode_error_frame(0x0A8, bytes([0, 0, 0x84, 0x19, 0, 0, 8, 0]))
    assert report.protocol == ("bit stuffing",)
    assert (report.while_sending, report.no_acknowledge, report.bus_error) == (True, True, True)
    assert describe(report) == "no acknowledge, bus error, bit stuffing, at acknowledge slot (TEC 8, REC 0)"


def test_a_broken_wire_is_a_fault_that_is_named() -> None:
    report = decode_error_frame(0x010, bytes([0, 0, 0, 0, 0x47, 0, 0, 0]))
    assert report.transceiver == ("CAN-H shorted to ground", "CAN-L has no wire")
    assert report.is_fault


def test_counters_of_old_kernels_are_taken_and_absent_ones_are_not_zero() -> None:
    assert decode_error_frame(0x040, bytes([0, 0, 0, 0, 0, 0, 1, 0])).transmit_errors == 1
    assert decode_error_frame(0x040, bytes(8)).transmit_errors is None
    assert decode_error_frame(0x240, bytes(8)).transmit_errors == 0


def test_the_class_bits_are_those_of_linux() -> None:
    """python-can's copy of linux/can/error.h as the oracle, where it has one."""
    pairs = {"BUS_OFF": "CAN_ERR_BUSOFF", "BUS_ERROR": "CAN_ERR_BUSERROR", "RESTARTED": "CAN_ERR_RESTARTED"}
    pairs |= {"TX_TIMEOUT": "CAN_ERR_TX_TIMEOUT", "LOST_ARBITRATION": "CAN_ERR_LOSTARB", "CONTROLLER": "CAN_ERR_CRTL"}
    pairs |= {"PROTOCOL": "CAN_ERR_PROT", "TRANSCEIVER": "CAN_ERR_TRX", "NO_ACKNOWLEDGE": "CAN_ERR_ACK"}
    for ours, theirs in pairs.items():
        assert getattr(error_frames, ours) == getattr(linux, theirs, getattr(error_frames, ours))


@given(ANY_ID, ANY_DATA)
def test_every_frame_has_a_meaning_and_a_line(frame_id: int, data: bytes) -> None:
    report = decode_error_frame(frame_id, data)
    line = describe(report)
    assert line
    assert "\n" not in line
    assert (report.transmit_errors is None) == (report.receive_errors is None)


@given(ANY_ID, ANY_DATA)
def test_details_without_their_class_bit_mean_nothing(frame_id: int, data: bytes) -> None:
    report = decode_error_frame(frame_id & ~0x01E, data)
    assert not (report.protocol or report.transceiver or report.error_passive or report.arbitration_lost)
    assert report.arbitration_bit is None
    assert report.protocol_place is None


@given(ANY_ID, ANY_ID, st.binary(min_size=8, max_size=8))
def test_classes_add_up(one: int, two: int, data: bytes) -> None:
    """A frame of two classes says what the two frames say."""
    first, second = _flags(decode_error_frame(one, data)), _flags(decode_error_frame(two, data))
    both = _flags(decode_error_frame(one | two, data))
    assert both == {name: first[name] or second[name] for name in both}


def _flags(report: ErrorReport) -> dict[str, bool]:
    return {name: value for name in report.__struct_fields__ if isinstance(value := getattr(report, name), bool)}
