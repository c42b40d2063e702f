"""Text of a DBC file to tables: the only module that knows cantools, which is loaded when the first file is parsed.

Vehicle makers' files often break the rules in messages that nobody uses. So a message that cannot be used is kept with
its problem and its line, and only who asks for it is refused.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import msgspec

from cardan.firmware_bridge.codec import FLOAT_FORMATS
from cardan.firmware_bridge.dbc_tables import DbcTables, MessageTable, Protected, SignalTable
from cardan.firmware_bridge.e2e import protection
from cardan.runtime.errors import ConfigError

if TYPE_CHECKING:
    from cantools.database.can import Message
    from cantools.database.can.signal import Signal as DbcSignal


SIGNAL = re.compile(r"^\s*SG_\s+\w+\s+(\w*)\s*:")
"""The start of a signal, with its mark: `M` selects, `m3` is there when 3 is selected, `m3M` is both."""


class DbcError(Exception):
    """The file cannot be understood. `line` is where, counted from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


def parse_dbc(text: str) -> DbcTables:
    """Every message of the file. DbcError says where the file is broken; ConfigError when cantools is not installed."""
    try:
        import cantools
    except ImportError as error:
        raise ConfigError("reading DBC files needs cantools", hint='pip install "cardan[can]"') from error
    try:
        database = cantools.database.can.Database(strict=False)
        database.add_dbc_string(text)
        return DbcTables(messages=tuple(_message(message, text) for message in database.messages))
    except Exception as error:  # cantools lets KeyError and its parser's own errors through, too
        raise _explain(text, error) from error


def _explain(text: str, error: Exception) -> DbcError:
    """Place and reason from whatever cantools said."""
    said = " ".join(str(error).removeprefix("DBC: ").strip('"').split()) or type(error).__name__
    at = re.search(r"at line (\d+), column \d+", said)
    if at:
        lines = text.splitlines()
        broken = lines[int(at[1]) - 1].strip() if int(at[1]) <= len(lines) else ""
        return DbcError(int(at[1]), f"expected a DBC statement, got {broken[:60]!r}")
    named = re.search(r"(?:in|of) message (\w+)", said)
    entry = re.search(r"(VAL_ \d+ \w+)", said)
    pattern = rf"^ *BO_ +\d+ +{named[1]} *:" if named else re.escape(entry[1]) if entry else "$^"
    return DbcError(_line_of(text, pattern), said)


def _line_of(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _message(message: Message, text: str) -> MessageTable:
    bare = MessageTable(
        name=message.name,
        frame_id=message.frame_id,
        extended=message.is_extended_frame,
        fd=message.is_fd,
        length=message.length,
        line=_line_of(text, rf"^ *BO_ +\d+ +{re.escape(message.name)} *:"),
        sender=message.senders[0] if message.senders else "",
        period_s=message.cycle_time / 1000 if message.cycle_time else None,
    )
    try:
        _check_selector(text, bare.line)
        _check_signals(message)
        signals = in_order([_signal(signal, message) for signal in message.signals])
        protected = _protected(message)
    except ValueError as error:
        return msgspec.structs.replace(bare, problem=str(error))
    return msgspec.structs.replace(bare, signals=signals, e2e=protected, problem=_overlap(message))


def _protected(message: Message) -> Protected | None:
    """What the attributes of the message say of its E2E protection. ValueError when that cannot be."""
    found = message.dbc.attributes if message.dbc else {}
    profile = int(_attribute(found, "E2EProfile", 0))
    if not profile:
        return None
    declared = Protected(
        profile=profile,
        data_id=int(_attribute(found, "E2EDataID", 0)),
        mode=str(_attribute(found, "E2EDataIDMode", "")),
        offset=int(_attribute(found, "E2EOffset", 0)),
        data_ids=str(_attribute(found, "E2EDataIDList", "")),
    )
    if message.length < protection(*msgspec.structs.astuple(declared)).minimum_length:
        raise ValueError(f"{message.length} bytes are too short for E2E profile {profile}")
    return declared


def _attribute(found: Any, name: str, otherwise: int | str) -> Any:
    return found[name].value if name in found else otherwise


def _signal(signal: DbcSignal, message: Message) -> SignalTable:
    big = signal.byte_order == "big_endian"
    first = 8 * (signal.start // 8) + 7 - signal.start % 8
    # cantools gives 2E-006 as a float and whole numbers as they are: whole factors keep 64-bit integers exact.
    scale, offset = _whole(signal.scale), _whole(signal.offset)
    limited = signal.minimum is not None and signal.maximum is not None and signal.minimum < signal.maximum
    return SignalTable(
        name=signal.name,
        big_endian=big,
        shift=8 * message.length - first - signal.length if big else signal.start,
        length=signal.length,
        signed=signal.is_signed,
        is_float=signal.is_float,
        scale=scale,
        offset=offset,
        minimum=float(signal.minimum) if limited and signal.minimum is not None else float("-inf"),
        maximum=float(signal.maximum) if limited and signal.maximum is not None else float("inf"),
        unit=signal.unit or "",
        multiplexer=signal.multiplexer_signal or "",
        multiplexer_values=tuple(sorted(set(signal.multiplexer_ids or ()))),
        labels={int(raw): str(label) for raw, label in (signal.choices or {}).items()},
    )


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value


def in_order(signals: list[SignalTable]) -> tuple[SignalTable, ...]:
    """Every multiplexer before the signals that depend on it."""
    ordered: list[SignalTable] = []
    waiting = signals
    while waiting:
        done = {signal.name for signal in ordered} | {""}
        ready = [signal for signal in waiting if signal.multiplexer in done]
        if not ready:
            raise ValueError(f"signal {waiting[0].name} depends on {waiting[0].multiplexer}, which is no signal")
        ordered += ready
        waiting = [signal for signal in waiting if signal.multiplexer not in done]
    return tuple(ordered)


def _check_selector(text: str, line: int) -> None:
    """ValueError when signals are multiplexed and none selects: cantools would take them for always there."""
    block = itertools.takewhile(lambda row: "SG_" in row, text.splitlines()[line:])
    marks = [found[1] for row in block if (found := SIGNAL.match(row)) and found[1]]
    if marks and not any(mark.endswith("M") for mark in marks):
        raise ValueError("its signals are multiplexed (`m`), and none selects (`M`)")


def _check_signals(message: Message) -> None:
    """ValueError unless every signal lies inside the message and has a usable scale."""
    for signal in message.signals:
        if not signal.scale:
            raise ValueError(f"signal {signal.name} has the factor 0")
        if signal.is_float and signal.length not in FLOAT_FORMATS:
            raise ValueError(f"signal {signal.name} is a float of {signal.length} bits")
        if any(bit >= 8 * message.length for bit in _bits(signal)):
            raise ValueError(f"signal {signal.name} does not fit into {message.length} bytes")


def _overlap(message: Message) -> str:
    """Two signals that share a bit at the same time, in words; empty when there are none."""
    taken: dict[int, DbcSignal] = {}
    for signal in message.signals:
        for bit in _bits(signal):
            other = taken.setdefault(bit, signal)
            if other is not signal and not _exclusive(signal, other, message):
                return f"signals {other.name} and {signal.name} overlap"
    return ""


def _bits(signal: DbcSignal) -> list[int]:
    """The bits that a signal takes: byte * 8 + bit, bit 0 being the least significant of its byte."""
    if signal.byte_order == "little_endian":
        return list(range(signal.start, signal.start + signal.length))
    first = 8 * (signal.start // 8) + 7 - signal.start % 8
    return [8 * (place // 8) + 7 - place % 8 for place in range(first, first + signal.length)]


def _exclusive(one: DbcSignal, other: DbcSignal, message: Message) -> bool:
    """True when no message carries both: some multiplexer selects either the one or the other."""
    selections = _selections(one, message)
    return any(name in selections and not selections[name] & ids for name, ids in _selections(other, message).items())


def _selections(signal: DbcSignal, message: Message) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    while signal.multiplexer_signal and signal.multiplexer_signal not in found:
        found[signal.multiplexer_signal] = set(signal.multiplexer_ids or ())
        signal = message.get_signal_by_name(signal.multiplexer_signal)
    return found
