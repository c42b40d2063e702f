"""The account checked again at the store: every number of every stream is in one object, or was reported as given up.

Object names carry stream, log and first and last number, so counting needs no reading; the tombstones are read from the
objects of the critical stream, in whichever form of ours they are.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

import msgspec

from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.outbox.spool import TOMBSTONE_TOPIC
from cardan.runtime.uplink.cipher import SUFFIX
from cardan.runtime.uplink.keys.opening import Opener
from cardan.runtime.uplink.keys.wraps import KeyAwayError
from cardan.runtime.uplink.stores.store import ReadableStore

_NAME = re.compile(r"(?P<stream>[a-z]+)-(?P<log>[0-9a-f]+)-(?P<first>\d+)-(?P<last>\d+)(-[0-9a-f]+)?\.[a-z.]+")


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object of ours, by its name."""

    vehicle: str
    boot: str
    stream: str
    log: str
    first: int
    last: int
    name: str


class StreamAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One stream of one log of one vehicle, up to the highest number that the store knows of."""

    vehicle: str
    stream: str
    log: str
    highest: int
    delivered: int
    """Numbers in objects, each counted once."""
    evicted: int
    """Reported as given up, and in no object."""
    duplicates: int
    """Numbers in more than one object."""
    missing: list[tuple[int, int]]
    """Ranges in no object and not reported."""
    boots: list[tuple[str, int, int]]
    """Boot, first and last number at the store."""

    @property
    def missing_count(self) -> int:
        return sum(last - first + 1 for first, last in self.missing)


class StoreAudit(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a store holds of ours."""

    streams: list[StreamAudit]
    unread: list[str]
    """Critical objects that could not be opened (damaged, or encrypted with another key): what they report as given up
    counts as missing."""


def stored_object_or_none(name: str) -> StoredObject | None:
    """What the name of an object says; None for one that is not of records."""
    *folders, last = name.split("/")
    found = _NAME.fullmatch(last)
    parts = dict(folder.split("=", 1) for folder in folders if "=" in folder)
    if found is None or "vehicle" not in parts:
        return None
    return StoredObject(
        vehicle=parts["vehicle"],
        boot=parts.get("boot", ""),
        stream=found["stream"],
        log=found["log"],
        first=int(found["first"]),
        last=int(found["last"]),
        name=name,
    )


def audit_store(store: ReadableStore, opener: Opener | None = None) -> StoreAudit:
    """The account of every stream at a store. Reads the objects of critical streams for what was given up.

    opener: of encrypted objects. StoreError when the store cannot be asked, KeyAwayError when the key cannot.
    """
    groups: dict[tuple[str, str, str], list[StoredObject]] = {}
    evicted: dict[tuple[str, str], list[tuple[int, int]]] = {}
    unread: list[str] = []
    names = set(store.names())
    opened = {name for name in names if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in names}
    items = (stored_object_or_none(name) for name in sorted(names - opened))
    for item in (item for item in items if item is not None):
        groups.setdefault((item.vehicle, item.stream, item.log), []).append(item)
        if item.stream == "critical":
            told = _tombstones_or_none(store, item.name, opener)
            if told is None:
                unread.append(item.name)
            for stream, first, last in told or ():
                evicted.setdefault((item.vehicle, stream), []).append((first, last))
    streams = [_audit(*key, objects, evicted.get((key[0], key[1]), [])) for key, objects in sorted(groups.items())]
    return StoreAudit(streams=streams, unread=unread)


def _audit(
    vehicle: str, stream: str, log: str, objects: list[StoredObject], evicted: list[tuple[int, int]]
) -> StreamAudit:
    there = [(item.first, item.last) for item in objects]
    delivered = merged(there)
    reported = without(merged(evicted), delivered)
    highest = max(last for _, last in delivered)
    reported = [(first, min(last, highest)) for first, last in reported if first <= highest]
    boots: dict[str, tuple[int, int]] = {}
    for item in objects:
        first, last = boots.get(item.boot, (item.first, item.last))
        boots[item.boot] = min(first, item.first), max(last, item.last)
    return StreamAudit(
        vehicle=vehicle,
        stream=stream,
        log=log,
        highest=highest,
        delivered=count(delivered),
        evicted=count(reported),
        duplicates=count(there) - count(delivered),
        missing=without([(1, highest)], merged([*delivered, *reported])),
        boots=sorted(((boot, *span) for boot, span in boots.items()), key=lambda row: row[1]),
    )


def _tombstones_or_none(store: ReadableStore, name: str, opener: Opener | None) -> list[tuple[str, int, int]] | None:
    """What an object reports as given up; None when it cannot be opened."""
    data = store.read(name)
    if name.endswith(SUFFIX):
        if opener is None:
            return None
        try:
            name, data = name.removesuffix(SUFFIX), opener.open(name, data)
        except (KeyAwayError, ConfigError):
            raise
        except CardanError:
            return None
    return tombstones_in(name, data)


def tombstones_in(name: str, data: bytes) -> list[tuple[str, int, int]] | None:
    """Stream, first and last number of everything that an object reports as given up, in any form of ours.

    None when the object is damaged. ConfigError when the library of its form is not installed.
    """
    try:
        messages = list(_told(name, data))
    except ConfigError:
        raise
    except Exception:  # whatever the library of a form says of damaged bytes
        return None
    places = (_place_or_none(message) for message in messages)
    return [place for place in places if place is not None]


def _place_or_none(message: dict[str, Any]) -> tuple[str, int, int] | None:
    try:
        return str(message["stream"]), int(message["first"]), int(message["last"])
    except (KeyError, TypeError, ValueError):
        return None


def _told(name: str, data: bytes) -> Iterable[dict[str, Any]]:
    if name.endswith(".jsonl.gz"):
        return _told_in_lines(gzip.decompress(data))
    if name.endswith(".jsonl.zst"):
        return _told_in_lines(_library(name, "zstandard", "record").decompress(data))
    if name.endswith(".msgpack.zst"):
        _library(name, "zstandard", "record")
        from cardan.runtime.uplink.columns_form import read_columns

        return _by_record(read_columns(data))
    return _by_record(_parquet_rows(name, data)) if name.endswith(".parquet") else []


def _told_in_lines(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if TOMBSTONE_TOPIC.encode() in line:
            item: dict[str, Any] = msgspec.json.decode(line)
            if item.get("topic") == TOMBSTONE_TOPIC:
                yield item["message"]


def _parquet_rows(name: str, data: bytes) -> list[dict[str, Any]]:
    columns = ["topic", "signal", "seq", "text", "integer"]
    table = _library(name, "pyarrow.parquet", "parquet").read_table(io.BytesIO(data), columns=columns)
    return [{**row, "value": row["integer"] if row["text"] is None else row["text"]} for row in table.to_pylist()]


def _library(name: str, module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(
            f"{name} cannot be read: {package} is not installed", hint=f"pip install 'cardan[{extra}]'"
        ) from error


def _by_record(rows: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The messages of tombstones, put together from their signals."""
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row["topic"] == TOMBSTONE_TOPIC:
            found.setdefault(row["seq"], {})[row["signal"].rpartition(".")[2]] = row["value"]
    return found.values()


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, those that meet or overlap as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def without(ranges: list[tuple[int, int]], taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of merged `ranges` is not in merged `taken`."""
    left: list[tuple[int, int]] = []
    for first, last in ranges:
        for start, end in taken:
            if end < first or start > last:
                continue
            if start > first:
                left.append((first, start - 1))
            first = max(first, end + 1)
        if first <= last:
            left.append((first, last))
    return left


def count(ranges: Iterable[tuple[int, int]]) -> int:
    """How many numbers are in them."""
    return sum(last - first + 1 for first, last in ranges)
