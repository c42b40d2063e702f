"""The account checked again at the store: every number of every stream is in one object, or was reported as given up.

Object names carry stream, log and first and last number, so counting needs no reading; the tombstones are read from the
objects of the critical stream, in whichever form of ours they are.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.spool import TOMBSTONE_TOPIC

_NAME = re.compile(r"(?P<stream>[a-z]+)-(?P<log>[0-9a-f]+)-(?P<first>\d+)-(?P<last>\d+)(-[0-9a-f]+)?\.[a-z.]+")


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object of ours, by its name."""

    vehicle: str
    boot: str
    stream: str
    log: str
    first: int
    last: int
    path: str


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


def stored_objects(store: Path) -> Iterator[StoredObject]:
    """Every object of ours in a folder store."""
    for path in sorted(store.rglob("*-*-*-*")):
        name = _NAME.fullmatch(path.name)
        parts = dict(part.split("=", 1) for part in path.parts if "=" in part)
        if name is None or "vehicle" not in parts or not path.is_file():
            continue
        yield StoredObject(
            vehicle=parts["vehicle"],
            boot=parts.get("boot", ""),
            stream=name["stream"],
            log=name["log"],
            first=int(name["first"]),
            last=int(name["last"]),
            path=str(path),
        )


def audit_store(store: Path) -> list[StreamAudit]:
    """The account of every stream in a folder store. Reads the objects of critical streams for what was given up."""
    groups: dict[tuple[str, str, str], list[StoredObject]] = {}
    evicted: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for item in stored_objects(store):
        groups.setdefault((item.vehicle, item.stream, item.log), []).append(item)
        if item.stream == "critical":
            for stream, first, last in tombstones_in(Path(item.path)):
                evicted.setdefault((item.vehicle, stream), []).append((first, last))
    return [_audit(*key, objects, evicted.get((key[0], key[1]), [])) for key, objects in sorted(groups.items())]


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


def tombstones_in(path: Path) -> Iterator[tuple[str, int, int]]:
    """Stream, first and last number of everything that an object reports as given up, in any form of ours.

    ConfigError when the library of its form is not installed.
    """
    for message in _told(path):
        try:
            yield str(message["stream"]), int(message["first"]), int(message["last"])
        except (KeyError, TypeError, ValueError):
            continue


def _told(path: Path) -> Iterable[dict[str, Any]]:
    if path.name.endswith(".jsonl.gz"):
        return _told_in_lines(path)
    if path.name.endswith(".msgpack.zst"):
        from cardan.runtime.uplink.columns_form import read_columns

        return _by_record(read_columns(path.read_bytes()))
    return _by_record(_parquet_rows(path)) if path.name.endswith(".parquet") else []


def _told_in_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
    except (OSError, EOFError, zlib.error):
        return
    for line in lines:
        if TOMBSTONE_TOPIC.encode() in line:
            item: dict[str, Any] = msgspec.json.decode(line)
            if item.get("topic") == TOMBSTONE_TOPIC:
                yield item["message"]


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError(
            f"{path} cannot be read: pyarrow is not installed", hint="pip install 'cardan[parquet]'"
        ) from error
    columns = ["topic", "signal", "seq", "text", "integer"]
    rows: list[dict[str, Any]] = pq.read_table(path, columns=columns, partitioning=None).to_pylist()
    return [{**row, "value": row["integer"] if row["text"] is None else row["text"]} for row in rows]


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
