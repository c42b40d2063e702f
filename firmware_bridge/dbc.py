"""Reads DBC files: the only module that knows cantools, which is loaded when the first file is read.

Which checksum and counter a message has is told by the DBC itself (attributes `E2EProfile` and `E2EDataID`), or, for
files that lack these attributes, by the caller (`additive`: Toyota's sum). Signals named CRC, CHECKSUM and COUNTER are
filled in by the encoder. Vehicle makers' files often break the rules in messages that nobody uses, so only messages
that are asked for are checked, and those strictly.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from cardan.firmware_bridge.additive import AdditiveChecksum
from cardan.firmware_bridge.codec import FLOAT_FORMATS, CodecError, MessageCodec, Signal
from cardan.firmware_bridge.e2e import Protection, protection
from cardan.runtime.errors import ConfigError, near_names

if TYPE_CHECKING:
    from cantools.database.can import Database, Message
    from cantools.database.can.signal import Signal as DbcSignal

CHECKSUM_NAMES = ("CRC", "CHECKSUM")
COUNTER_NAME = "COUNTER"


class Dbc:
    """The messages of one DBC file, compiled when they are asked for."""

    def __init__(self, path: Path, text: str, database: Database, additive: Collection[str] | None) -> None:
        self.path = path
        self._text = text
        self._messages = {message.name: message for message in database.messages}
        self._additive = additive
        self._codecs: dict[str, MessageCodec] = {}

    @property
    def names(self) -> list[str]:
        """Every message name in the file."""
        return list(self._messages)

    def message(self, name: str) -> MessageCodec:
        """The codec of the message called `name`; ConfigError when there is none or its definition is broken."""
        if name not in self._codecs:
            if name not in self._messages:
                raise ConfigError(f'{self.path} has no message "{name}"', hint=near_names(name, self.names))
            self._codecs[name] = self._compile(self._messages[name])
        return self._codecs[name]

    def _compile(self, message: Message) -> MessageCodec:
        line = _line_of(self._text, rf"^ *BO_ +\d+ +{re.escape(message.name)} *:")
        where = f"{self.path}:{line}: message {message.name}"
        _check_layout(message, where)
        names = [signal.name for signal in message.signals]
        protection = self._protection(message, where)
        return MessageCodec(
            name=message.name,
            frame_id=message.frame_id,
            extended=message.is_extended_frame,
            fd=message.is_fd,
            length=message.length,
            period_s=message.cycle_time / 1000 if message.cycle_time else None,
            signals=in_order([_signal(signal, message) for signal in message.signals]),
            protection=protection,
            checksum_signal=next((name for name in CHECKSUM_NAMES if name in names and protection), ""),
            counter_signal=COUNTER_NAME if COUNTER_NAME in names else "",
        )

    def _protection(self, message: Message, where: str) -> Protection | None:
        attributes = message.dbc.attributes if message.dbc else {}
        profile = int(attributes["E2EProfile"].value) if "E2EProfile" in attributes else 0
        if profile:
            data_id = int(attributes["E2EDataID"].value) if "E2EDataID" in attributes else 0
            try:
                found = protection(profile, data_id)
            except ValueError as error:
                raise ConfigError(f"{where}: {error}") from error
            if message.length < found.minimum_length:
                raise ConfigError(f"{where} is too short for E2E profile {profile}")
            return found
        has_checksum = any(signal.name == "CHECKSUM" for signal in message.signals)
        if self._additive is not None and (has_checksum or message.name in self._additive):
            return AdditiveChecksum(message.frame_id)
        return None


def load_dbc(path: Path, *, additive: Collection[str] | None = None) -> Dbc:
    """Read the DBC file at `path`.

    additive: None, or this file's messages with a signal CHECKSUM carry Toyota's sum in their last byte, and so do the
    messages named here (which have that sum without declaring it). ConfigError names the line of a broken file.
    """
    try:
        import cantools
    except ImportError as error:
        raise ConfigError("reading DBC files needs cantools", hint='pip install "cardan[can]"') from error
    try:
        text = path.read_text(encoding="cp1252")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    try:
        database = cantools.database.can.Database(strict=False)
        database.add_dbc_string(text)
    except Exception as error:  # cantools lets KeyError and its parser's own errors through, too
        raise ConfigError(_explain(path, text, error), hint="`cantools dump` shows more") from error
    unknown = sorted(set(additive or ()) - {message.name for message in database.messages})
    if unknown:
        known = [message.name for message in database.messages]
        raise ConfigError(f'{path} has no message "{unknown[0]}"', hint=near_names(unknown[0], known))
    return Dbc(path, text, database, additive)


def _explain(path: Path, text: str, error: Exception) -> str:
    """`path:line: what` from whatever cantools said."""
    said = " ".join(str(error).removeprefix("DBC: ").strip('"').split())
    at = re.search(r"at line (\d+), column \d+", said)
    if at:
        broken = text.splitlines()[int(at[1]) - 1].strip() if text.strip() else ""
        return f"{path}:{at[1]}: expected a DBC statement, got {broken[:60]!r}"
    named = re.search(r"(?:in|of) message (\w+)", said)
    entry = re.search(r"(VAL_ \d+ \w+)", said)
    pattern = rf"^ *BO_ +\d+ +{named[1]} *:" if named else re.escape(entry[1]) if entry else "$^"
    return f"{path}:{_line_of(text, pattern)}: {said}"


def _line_of(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _signal(signal: DbcSignal, message: Message) -> Signal:
    big = signal.byte_order == "big_endian"
    first = 8 * (signal.start // 8) + 7 - signal.start % 8
    # cantools gives 2E-006 as a float and whole numbers as they are: whole factors keep 64-bit integers exact.
    scale, offset = _whole(signal.scale), _whole(signal.offset)
    limited = signal.minimum is not None and signal.maximum is not None and signal.minimum < signal.maximum
    return Signal(
        name=signal.name,
        big_endian=big,
        shift=8 * message.length - first - signal.length if big else signal.start,
        length=signal.length,
        signed=signal.is_signed,
        float_format=FLOAT_FORMATS[signal.length] if signal.is_float else "",
        scale=scale,
        offset=offset,
        minimum=float(signal.minimum) if limited and signal.minimum is not None else float("-inf"),
        maximum=float(signal.maximum) if limited and signal.maximum is not None else float("inf"),
        unit=signal.unit or "",
        multiplexer=signal.multiplexer_signal or "",
        multiplexer_values=frozenset(signal.multiplexer_ids or ()),
    )


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value


def in_order(signals: list[Signal]) -> list[Signal]:
    """Every multiplexer before the signals that depend on it."""
    ordered: list[Signal] = []
    waiting = list(signals)
    while waiting:
        done = {signal.name for signal in ordered} | {""}
        ready = [signal for signal in waiting if signal.multiplexer in done]
        if not ready:
            raise CodecError(f"signal {waiting[0].name} depends on {waiting[0].multiplexer}, which is no signal")
        ordered += ready
        waiting = [signal for signal in waiting if signal.multiplexer not in done]
    return ordered


def _check_layout(message: Message, where: str) -> None:
    """What a message that is used must keep: signals inside it, not on each other, with a usable scale."""
    taken: dict[int, DbcSignal] = {}
    for signal in message.signals:
        if not signal.scale:
            raise ConfigError(f"{where}: signal {signal.name} has the factor 0")
        if signal.is_float and signal.length not in FLOAT_FORMATS:
            raise ConfigError(f"{where}: signal {signal.name} is a float of {signal.length} bits")
        for bit in _bits(signal):
            if bit >= 8 * message.length:
                raise ConfigError(f"{where}: signal {signal.name} does not fit into {message.length} bytes")
            other = taken.setdefault(bit, signal)
            if other is not signal and not _exclusive(signal, other, message):
                raise ConfigError(f"{where}: signals {other.name} and {signal.name} overlap")


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
