"""What a DBC file says, as plain data: one table a message, one row a signal. It can be kept on disk and read back."""

from __future__ import annotations

import math

import msgspec


class SignalTable(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where one signal lies and what it means; fields as in `codec.Signal`."""

    name: str
    big_endian: bool
    shift: int
    length: int
    signed: bool
    is_float: bool
    scale: int | float
    """Whole factors stay whole numbers, so that 64-bit signals are exact."""
    offset: int | float
    minimum: float = -math.inf
    maximum: float = math.inf
    unit: str = ""
    multiplexer: str = ""
    multiplexer_values: tuple[int, ...] = ()
    labels: dict[int, str] = {}
    """Raw value -> its name, of a signal with a value table."""


class MessageTable(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One message of the file."""

    name: str
    frame_id: int
    extended: bool
    fd: bool
    length: int
    line: int
    """Of its definition in the file."""
    sender: str = ""
    """The node that sends it; empty where the file does not say."""
    period_s: float | None = None
    e2e: Protected | None = None
    """AUTOSAR E2E protection, where the file declares one."""
    signals: tuple[SignalTable, ...] = ()
    """Each multiplexer before the signals that depend on it."""
    problem: str = ""
    """Why the message cannot be used; empty when it can. With signals beside it, it can still be read."""

    def signal(self, name: str) -> SignalTable | None:
        """The signal called `name`, or None."""
        return next((signal for signal in self.signals if signal.name == name), None)


class Protected(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """AUTOSAR E2E protection of a message: the arguments of `e2e.protection`."""

    profile: int
    data_id: int = 0
    mode: str = ""
    offset: int = 0
    data_ids: str = ""


class DbcTables(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One file."""

    messages: tuple[MessageTable, ...]
