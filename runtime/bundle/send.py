"""Sending a bundle: its bytes as records of the outbox, each kept durably there before the next one counts.

A record holds one part of the file as JSON, with the number of the part, how many there are, and the hash of the whole:

    {"topic": "bundle/part", ..., "message": {"bundle", "part", "parts", "bytes", "sha256", "data"}}    data: base64

Sent again after a kill, it goes on behind the last part that the outbox has, which counts them under the bundle's id.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cardan.runtime.clock import Clock
from cardan.runtime.errors import RunError
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.producer import Producer
from cardan.runtime.outbox.segment import RecordClass

TOPIC = "bundle/part"
PART_BYTES = 60_000
"""Of the file; as base64 with its frame it stays below what one record may hold."""
TIMEOUT_S = 10.0


def send(file: Path, bundle_id: str, data_dir: Path, clock: Clock) -> tuple[int, int]:
    """Put every part into the outbox; how many were put now, and how many there are.

    CardanError when the outbox does not take them; what it has it keeps, and the next call goes on there.
    """
    data = _read(file)
    records = [PutRecord(clock.now_ns(), clock.wall_ns(), part) for part in parts_of(data, bundle_id)]
    with Producer(outbox_dir(data_dir), f"bundle-{bundle_id}", clock=clock, timeout_s=TIMEOUT_S) as producer:
        kept = min(producer.highest(RecordClass.BULK), len(records))
        if kept < len(records):
            producer.put_many(RecordClass.BULK, records[kept:])
    return len(records) - kept, len(records)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RunError(f"cannot read the bundle {file}: {error.strerror}", hint="`cardan bundle list`") from error


def parts_of(data: bytes, bundle_id: str) -> Iterator[bytes]:
    """The payloads of all records."""
    sha256, count = hashlib.sha256(data).hexdigest(), max(1, -(-len(data) // PART_BYTES))
    for number in range(count):
        part = data[number * PART_BYTES : (number + 1) * PART_BYTES]
        message = {
            "bundle": bundle_id,
            "part": number,
            "parts": count,
            "bytes": len(data),
            "sha256": sha256,
            "data": b64encode(part).decode(),
        }
        yield json.dumps({"topic": TOPIC, "topic_seq": number, "valid": True, "message": message}).encode()


def joined(messages: Iterable[dict[str, Any]]) -> bytes:
    """The file from the messages of its parts, in any order, some of them twice; ValueError when it is not whole."""
    parts: dict[int, bytes] = {}
    sha256, count = "", 0
    for message in messages:
        parts[int(message["part"])] = b64decode(message["data"])
        sha256, count = str(message["sha256"]), int(message["parts"])
    data = b"".join(parts[number] for number in sorted(parts))
    missing = sorted(set(range(count)) - set(parts))
    if missing or hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(
            f"parts {missing[:5]} of {count} are missing" if missing else "the parts are not of one bundle"
        )
    return data
