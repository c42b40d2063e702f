"""The account checked again at the store: every number of every stream is in one object, or was reported as given up.

Object names carry stream, log and first and last number, so counting needs no reading; the tombstones are read from the
objects of the critical stream, in whichever form of ours they are.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.outbox.spool import TOMBSTONE_TOPIC

_NAME = re.compile(r"(?P<stream>[a-z]+)-(?P<log>[0-9a-f]+)-(?P<first>\d+)-(?P<last>\d+)(-[0-9a-f]+)?\.[a-z.]+")
_FOLDER = re.compile(r"(vehicle|boot)=(?P<value>.+)")


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
    """Stream, first and last number of what an object reports as given up; nothing for a form that is not read here."""
    if not path.name.endswith(".jsonl.gz"):
        return
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
    except (OSError, EOFError):
        return
    for line in lines:
        if TOMBSTONE_TOPIC.encode() not in line:
            continue
        item: dict[str, Any] = msgspec.json.decode(line)
        if item.get("topic") == TOMBSTONE_TOPIC:
            message = item["message"]
            yield str(message["stream"]), int(message["first"]), int(message["last"])


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
