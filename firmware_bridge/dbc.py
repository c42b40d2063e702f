"""A DBC file as encoders and decoders: parsed once, kept as tables on disk, each message compiled when it is asked for.

Which checksum and counter a message has is told by the DBC itself (attributes `E2EProfile`, `E2EDataID`, and where the
profile has such, `E2EDataIDMode`, `E2EOffset`, `E2EDataIDList`), or, for files that lack these attributes, by the
caller (`additive`: Toyota's sum). Signals named CRC, CHECKSUM and COUNTER are filled in by the encoder.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from cardan.firmware_bridge.additive import AdditiveChecksum
from cardan.firmware_bridge.codec import FLOAT_FORMATS, MessageCodec, Signal
from cardan.firmware_bridge.dbc_cache import DbcCache, usual_cache
from cardan.firmware_bridge.dbc_parse import DbcError, parse_dbc
from cardan.firmware_bridge.dbc_tables import DbcTables, MessageTable, SignalTable
from cardan.firmware_bridge.e2e import Protection, protection
from cardan.runtime.errors import ConfigError, near_names

CHECKSUM_NAMES = ("CRC", "CHECKSUM")
COUNTER_NAME = "COUNTER"


class Dbc:
    """The messages of one DBC file, compiled when they are asked for."""

    def __init__(self, path: Path, tables: DbcTables, additive: Collection[str] | None = None) -> None:
        self.path = path
        self._tables = {table.name: table for table in tables.messages}
        self._additive = additive
        self._codecs: dict[str, MessageCodec] = {}

    @property
    def names(self) -> list[str]:
        """Every message name in the file."""
        return list(self._tables)

    def table(self, name: str) -> MessageTable:
        """What the file says of the message called `name`; ConfigError when there is none."""
        if name not in self._tables:
            raise ConfigError(f'{self.path} has no message "{name}"', hint=near_names(name, self.names))
        return self._tables[name]

    def message(self, name: str) -> MessageCodec:
        """The codec of the message called `name`; ConfigError when there is none or its definition is broken."""
        if name not in self._codecs:
            table = self.table(name)
            if table.problem:
                raise self._refusal(table)
            self._codecs[name] = self._compile(table)
        return self._codecs[name]

    def reader(self, name: str) -> MessageCodec:
        """A codec to look at the message called `name` with, never to send it: its signals may overlap.

        ConfigError as for `message` when there is another problem.
        """
        table = self.table(name)
        if table.problem and not table.signals:
            raise self._refusal(table)
        return self._compile(table)

    def _refusal(self, table: MessageTable) -> ConfigError:
        return ConfigError(f"{self.path}:{table.line}: message {table.name}: {table.problem}")

    def value(self, message: str, signal: str, label: str) -> float:
        """The physical value that carries `label` of the signal's value table; ConfigError names what exists."""
        row = self.table(message).signal(signal)
        labels = row.labels if row is not None else {}
        for raw, known in labels.items():
            if row is not None and known == label:
                return raw * row.scale + row.offset
        raise ConfigError(
            f'{self.path}: {message}.{signal} has no value "{label}"', hint=near_names(label, list(labels.values()))
        )

    def _compile(self, table: MessageTable) -> MessageCodec:
        names = [signal.name for signal in table.signals]
        protected = self._protection(table)
        return MessageCodec(
            name=table.name,
            frame_id=table.frame_id,
            extended=table.extended,
            fd=table.fd,
            length=table.length,
            period_s=table.period_s,
            signals=[signal_of(row) for row in table.signals],
            protection=protected,
            checksum_signal=next((name for name in CHECKSUM_NAMES if name in names and protected), ""),
            counter_signal=COUNTER_NAME if COUNTER_NAME in names else "",
        )

    def _protection(self, table: MessageTable) -> Protection | None:
        if table.e2e is not None:
            return protection(*msgspec.structs.astuple(table.e2e))
        if self._additive is not None and (table.signal("CHECKSUM") or table.name in self._additive):
            return AdditiveChecksum(table.frame_id)
        return None


def load_dbc(path: Path, *, additive: Collection[str] | None = None, cache: DbcCache | None = None) -> Dbc:
    """Read the DBC file at `path`.

    additive: None, or this file's messages with a signal CHECKSUM carry Toyota's sum in their last byte, and so do the
    messages named here (which have that sum without declaring it). cache: where tables of files that were parsed
    before are kept; None is this user's cache folder. ConfigError names the line of a broken file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    cache = cache or usual_cache()
    tables = cache.load_or_none(raw) or _parse(path, raw, cache)
    unknown = sorted(set(additive or ()) - {message.name for message in tables.messages})
    if unknown:
        known = [message.name for message in tables.messages]
        raise ConfigError(f'{path} has no message "{unknown[0]}"', hint=near_names(unknown[0], known))
    return Dbc(path, tables, additive)


def _parse(path: Path, raw: bytes, cache: DbcCache) -> DbcTables:
    try:
        tables = parse_dbc(_text(raw))
    except DbcError as error:
        raise ConfigError(f"{path}:{error.line}: {error.text}", hint="`cantools dump` shows more") from error
    cache.keep(raw, tables)
    return tables


def _text(raw: bytes) -> str:
    """DBC files do not tell their encoding: UTF-8 where that fits, else that of the first tools."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def signal_of(row: SignalTable) -> Signal:
    """The row as the codec wants it."""
    return Signal(
        name=row.name,
        big_endian=row.big_endian,
        shift=row.shift,
        length=row.length,
        signed=row.signed,
        float_format=FLOAT_FORMATS[row.length] if row.is_float else "",
        scale=row.scale,
        offset=row.offset,
        minimum=row.minimum,
        maximum=row.maximum,
        unit=row.unit,
        multiplexer=row.multiplexer,
        multiplexer_values=frozenset(row.multiplexer_values),
    )
