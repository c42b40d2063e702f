"""What an error frame of SocketCAN says: class bits in the identifier, details in the data (linux/can/error.h)."""

from __future__ import annotations

import msgspec

# Class bits of the identifier.
TX_TIMEOUT = 0x001
LOST_ARBITRATION = 0x002
CONTROLLER = 0x004
PROTOCOL = 0x008
TRANSCEIVER = 0x010
NO_ACKNOWLEDGE = 0x020
BUS_OFF = 0x040
BUS_ERROR = 0x080
RESTARTED = 0x100
COUNTERS = 0x200
"""Says that data[6] and data[7] are TEC and REC; kernels before 6.0 fill them in without saying so."""

RX_OVERFLOW, TX_OVERFLOW = 0x01, 0x02
WARNING = 0x04 | 0x08
PASSIVE = 0x10 | 0x20
ACTIVE = 0x40
ERROR_DATA_BYTES = 8

PROTOCOL_KINDS = {
    0x01: "single bit",
    0x02: "frame format",
    0x04: "bit stuffing",
    0x08: "unable to send dominant",
    0x10: "unable to send recessive",
    0x20: "overload",
    0x40: "active error announcement",
}
WHILE_SENDING = 0x80
PROTOCOL_PLACES = {
    0x02: "identifier bits 28-21",
    0x03: "start of frame",
    0x04: "substitute RTR",
    0x05: "identifier extension",
    0x06: "identifier bits 20-18",
    0x07: "identifier bits 17-13",
    0x08: "CRC sequence",
    0x09: "reserved bit 0",
    0x0A: "data",
    0x0B: "data length",
    0x0C: "RTR",
    0x0D: "reserved bit 1",
    0x0E: "identifier bits 4-0",
    0x0F: "identifier bits 12-5",
    0x12: "intermission",
    0x18: "CRC delimiter",
    0x19: "acknowledge slot",
    0x1A: "end of frame",
    0x1B: "acknowledge delimiter",
}
TRANSCEIVER_FAULTS = {
    0x04: "CAN-H has no wire",
    0x05: "CAN-H shorted to battery",
    0x06: "CAN-H shorted to supply",
    0x07: "CAN-H shorted to ground",
    0x40: "CAN-L has no wire",
    0x50: "CAN-L shorted to battery",
    0x60: "CAN-L shorted to supply",
    0x70: "CAN-L shorted to ground",
    0x80: "CAN-L shorted to CAN-H",
}


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """One error frame in words of its fields. Fields that the frame does not speak about are False, None or empty."""

    bus_off: bool = False
    """The controller took itself off the bus after 256 failed transmissions. It stays there until it is restarted."""
    restarted: bool = False
    error_passive: bool = False
    """TEC or REC above 127: the controller may no longer destroy the frames of others."""
    error_warning: bool = False
    """TEC or REC above 96."""
    error_active: bool = False
    """Back to normal."""
    tx_timeout: bool = False
    no_acknowledge: bool = False
    """Nobody acknowledged a frame: no other node listens, or the wiring is broken."""
    arbitration_lost: bool = False
    arbitration_bit: int | None = None
    """Position in the frame where arbitration was lost, None when the controller does not know."""
    receive_overflow: bool = False
    """The controller's own receive buffer was full and a frame was lost."""
    transmit_overflow: bool = False
    bus_error: bool = False
    protocol: tuple[str, ...] = ()
    protocol_place: str | None = None
    while_sending: bool = False
    transceiver: tuple[str, ...] = ()
    transmit_errors: int | None = None
    """TEC: transmit error counter of the controller, 0..255."""
    receive_errors: int | None = None
    """REC: receive error counter of the controller, 0..255."""

    @property
    def is_fault(self) -> bool:
        """The controller cannot take part in the traffic as it should. Single errors that it repairs are none."""
        return self.bus_off or self.error_passive or self.tx_timeout or bool(self.transceiver)


def decode_error_frame(frame_id: int, data: bytes) -> ErrorReport:
    """The meaning of an error frame. Never fails: what is unknown is left out, short data counts as zeros."""
    data = data[:ERROR_DATA_BYTES].ljust(ERROR_DATA_BYTES, b"\0")
    controller = data[1] if frame_id & CONTROLLER else 0
    protocol = data[2] if frame_id & PROTOCOL else 0
    transmit_errors, receive_errors = _counters(frame_id, data)
    lost = bool(frame_id & LOST_ARBITRATION)
    return ErrorReport(
        bus_off=bool(frame_id & BUS_OFF),
        restarted=bool(frame_id & RESTARTED),
        error_passive=bool(controller & PASSIVE),
        error_warning=bool(controller & WARNING),
        error_active=bool(controller & ACTIVE),
        tx_timeout=bool(frame_id & TX_TIMEOUT),
        no_acknowledge=bool(frame_id & NO_ACKNOWLEDGE),
        arbitration_lost=lost,
        arbitration_bit=(data[0] or None) if lost else None,
        receive_overflow=bool(controller & RX_OVERFLOW),
        transmit_overflow=bool(controller & TX_OVERFLOW),
        bus_error=bool(frame_id & BUS_ERROR),
        protocol=tuple(name for bit, name in PROTOCOL_KINDS.items() if protocol & bit),
        protocol_place=PROTOCOL_PLACES.get(data[3]) if frame_id & PROTOCOL else None,
        while_sending=bool(protocol & WHILE_SENDING),
        transceiver=_transceiver_faults(data[4]) if frame_id & TRANSCEIVER else (),
        transmit_errors=transmit_errors,
        receive_errors=receive_errors,
    )


def _counters(frame_id: int, data: bytes) -> tuple[int | None, int | None]:
    known = frame_id & COUNTERS or data[6] or data[7]
    return (data[6], data[7]) if known else (None, None)


def _transceiver_faults(status: int) -> tuple[str, ...]:
    """CAN-H in the low half of the byte, CAN-L in the high half."""
    halves = (status & 0x0F, status & 0xF0)
    return tuple(TRANSCEIVER_FAULTS[half] for half in halves if half in TRANSCEIVER_FAULTS)


def describe(report: ErrorReport) -> str:
    """One line for a person: `bus-off, no acknowledge (TEC 248, REC 0)`."""
    said = {
        "bus-off": report.bus_off,
        "restarted": report.restarted,
        "error-passive": report.error_passive,
        "error warning": report.error_warning,
        "error-active again": report.error_active,
        "transmit timeout": report.tx_timeout,
        "no acknowledge": report.no_acknowledge,
        "arbitration lost": report.arbitration_lost,
        "receive buffer of the controller overflowed": report.receive_overflow,
        "transmit buffer of the controller overflowed": report.transmit_overflow,
        "bus error": report.bus_error,
    }
    parts = [text for text, is_said in said.items() if is_said] + [*report.protocol, *report.transceiver]
    if report.protocol_place:
        parts.append(f"at {report.protocol_place}")
    counters = ""
    if report.transmit_errors is not None:
        counters = f" (TEC {report.transmit_errors}, REC {report.receive_errors})"
    return (", ".join(parts) or "nothing that is known here") + counters
