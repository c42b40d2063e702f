"""Frames as a DBC reads them, for people: names, units, labels, and whether counter and checksum are right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.counters import CounterWatch, Sequence
from cardan.firmware_bridge.dbc import Dbc, load_dbc
from cardan.firmware_bridge.dbc_tables import MessageTable
from cardan.firmware_bridge.trust import MAX_LOST, VALID, Quality
from cardan.firmware_bridge.vehicle_map import VehicleMap, open_map
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CanFrame
from cardan.runtime.plan import NodePlan, Plan

Identifier = tuple[int, bool]
"""Identifier, and whether it is one of 29 bits."""
READERS = ("cardan.firmware_bridge.vehicle_state:VehicleStateDecoder", "cardan.firmware_bridge.bridge:Bridge")
"""Nodes whose config names the vehicle of a channel. By name: their modules take time to import."""
OK = "ok"
BAD_CHECKSUM = "checksum wrong"
FLAGGED = "flagged invalid by its sender"


def bad_counter(sequence: Sequence) -> str:
    """The verdict on a counter that is repeated or wrong."""
    return f"counter {sequence.value}"


def wrong_length(data: bytes, codec: MessageCodec) -> str:
    """The verdict on a frame that is longer or shorter than its message."""
    return f"{len(data)} bytes, expected {codec.length}"


def is_flagged(value: float, quality: Quality) -> bool:
    """True when the sender calls its message invalid. value: physical, of the quality flag."""
    return value * quality.scale + quality.offset <= 0.5


class ReadSignal(msgspec.Struct, frozen=True, kw_only=True):
    """One signal of a frame."""

    name: str
    value: float
    unit: str
    label: str
    """The value's name in the DBC; empty when it has none."""


class ReadFrame(msgspec.Struct, frozen=True, kw_only=True):
    """One frame as the DBC reads it."""

    message: str
    verdict: str
    """`ok`, or what is wrong (length, checksum, counter, flagged invalid); empty where nothing can be checked."""
    signals: list[ReadSignal]

    @property
    def wrong(self) -> bool:
        return self.verdict not in ("", OK)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A message that should be on the bus."""

    message: str
    id: int
    extended: bool
    period_s: float | None
    relied_on: bool
    """The vehicle cannot drive without it."""


class Definition:
    """One message: how it is read, and the counter that was seen last."""

    def __init__(self, table: MessageTable, codec: MessageCodec, quality: Quality | None) -> None:
        self.codec = codec
        flagged = codec.protection is not None and VALID.signal in codec.signals
        self.quality = quality or (VALID if flagged else None)
        self._rows = {row.name: row for row in table.signals}
        self._watch = CounterWatch(codec.modulus, MAX_LOST) if codec.modulus else None

    def read(self, data: bytes) -> ReadFrame:
        """Everything that the next frame says."""
        codec = self.codec
        if not codec.fits(data):
            return ReadFrame(message=codec.name, verdict=wrong_length(data, codec), signals=[])
        values = codec.decode(data)
        signals = [self._signal(name, value) for name, value in values.items()]
        return ReadFrame(message=codec.name, verdict=self._verdict(data, values), signals=signals)

    def judge(self, data: bytes) -> str:
        """The verdict of `read` alone, in a part of its time."""
        if not self.codec.fits(data):
            return wrong_length(data, self.codec)
        return self._verdict(data, None)

    def _signal(self, name: str, value: float) -> ReadSignal:
        row = self._rows[name]
        label = row.labels.get(round((value - row.offset) / row.scale), "") if row.labels else ""
        return ReadSignal(name=name, value=value, unit=row.unit, label=label)

    def _verdict(self, data: bytes, values: Mapping[str, float] | None) -> str:
        """values: what was decoded; None = it is decoded here where that matters."""
        codec = self.codec
        if not codec.intact(data):
            return BAD_CHECKSUM
        sequence = self._watch.see(codec.counter(data)) if self._watch is not None else None
        if sequence in (Sequence.REPEATED, Sequence.WRONG):
            return bad_counter(sequence)
        quality = self.quality
        if quality is not None and is_flagged((values or codec.decode(data)).get(quality.signal, 1.0), quality):
            return FLAGGED
        return OK if sequence is not None or codec.protection is not None else ""


class FrameReader:
    """Reads the frames of one channel by a DBC file, and follows their counters. One thread at a time."""

    def __init__(
        self,
        dbc: Dbc,
        *,
        relied_on: Collection[str] = (),
        periods_s: Mapping[str, float] | None = None,
        quality: Mapping[str, Quality] | None = None,
    ) -> None:
        self._dbc = dbc
        self._quality = quality or {}
        self._relied_on = relied_on
        self._periods_s = periods_s or {}
        tables = [dbc.table(name) for name in dbc.names]
        self._tables = {(table.frame_id, table.extended): table for table in tables}
        self._definitions: dict[Identifier, Definition | None] = {}

    @property
    def source(self) -> str:
        """Where the definitions come from."""
        return str(self._dbc.path)

    @property
    def expected(self) -> list[Expected]:
        """Every message that is known, relied-on ones first."""
        every = [
            Expected(
                message=table.name,
                id=table.frame_id,
                extended=table.extended,
                period_s=self._periods_s.get(table.name, table.period_s),
                relied_on=table.name in self._relied_on,
            )
            for table in self._tables.values()
        ]
        return sorted(every, key=lambda item: not item.relied_on)

    def read(self, frame: CanFrame) -> ReadFrame | None:
        """The frame as the DBC reads it; None when the DBC does not know it."""
        definition = None if frame.error else self.definition_or_none((frame.id, frame.extended))
        return definition.read(frame.data) if definition is not None else None

    def definition_or_none(self, identifier: Identifier) -> Definition | None:
        """How the frames with this identifier are read; None when the DBC does not know them."""
        if identifier in self._definitions:
            return self._definitions[identifier]
        table = self._tables.get(identifier)
        definition = self._definitions[identifier] = self._define(table) if table is not None else None
        return definition

    def _define(self, table: MessageTable) -> Definition | None:
        """None for a message whose definition makes no sense: it is then as unknown as one that is not there."""
        try:
            return Definition(table, self._dbc.reader(table.name), self._quality.get(table.name))
        except ConfigError:
            return None


def readers_of_plan(plan: Plan) -> dict[str, FrameReader]:
    """Channel -> reader, for the channels whose vehicle the plan's nodes name."""
    folder = Path(plan.manifest).resolve().parent
    found: dict[str, FrameReader] = {}
    for node in plan.nodes:
        if node.use in READERS:
            channel = str(node.config.get("channel", "")) or _only(plan, node)
            if channel in plan.profile.can and channel not in found:
                found[channel] = reader_of_vehicle(_vehicle_of(node), folder)
    return found


def reader_of_dbc(path: Path) -> FrameReader:
    """Reader of a DBC file. ConfigError names the line of a broken one."""
    return FrameReader(load_dbc(path))


def reader_of_vehicle(vehicle: str | VehicleMap, folder: Path) -> FrameReader:
    """Reader of the channel that a vehicle map describes; ConfigError names the known ones.

    folder: where the manifest lies, or lay: the map's data is looked for from there.
    """
    known, dbc = open_map(vehicle, folder)
    used = {term.signal.partition(".")[0] for terms in known.signals.values() for term in terms}
    quality = {
        message: Quality(signal, term.scale, term.offset)
        for term in known.quality
        for message, _, signal in [term.signal.partition(".")]
    }
    return FrameReader(dbc, relied_on=used, periods_s=known.periods_s, quality=quality)


def _only(plan: Plan, node: NodePlan) -> str:
    known = node.channels or list(plan.profile.can)
    return known[0] if len(known) == 1 else ""


def _vehicle_of(node: NodePlan) -> str | VehicleMap:
    """The plan was checked when the run started, but what is kept of a run may be of an older release."""
    try:
        return msgspec.convert(node.config.get("vehicle", "reference"), str | VehicleMap)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the vehicle of node {node.name} cannot be read: {error}", hint="use --dbc FILE") from error
