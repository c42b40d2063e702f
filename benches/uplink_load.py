"""What 10 000 records a second cost when each is durable and at the store: processor time of outbox and uplink.

A producer puts 10 000 records of 240 bytes a second through the door, in batches of a tenth of a second; outbox and
uplink are processes with their usual limits; the store is Azurite, whose own time does not count.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from uplink_kills import fork, kill, live_outbox
from uplink_servers import load_servers

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.ledger import read_ledgers, total
from cardan.runtime.outbox.limits import SpoolLimits
from cardan.runtime.outbox.producer import Producer
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.parcels import SyncSettings
from cardan.runtime.uplink.stores.choose import open_store
from cardan.runtime.uplink.sync import LET_OUT, open_sync

RATE_HZ, BATCH_S = 10_000, 0.1
PERIOD_MS = 50
"""Of the node `outbox`."""
SETTLE_S = 2.0
TICKS = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """Shares of a core, and what went through."""

    outbox: float
    uplink: float
    producer: float
    records_per_s: float
    delivered: int
    wire_bytes_per_record: float


def run(seconds: float, form: str) -> Load:
    """RuntimeError when Azurite is not there."""
    store = load_servers().Azurite()
    try:
        with tempfile.TemporaryDirectory(prefix="cardan-load-") as folder:
            return _run(seconds, form, Path(folder), store)
    finally:
        store.stop()


def _run(seconds: float, form: str, folder: Path, store: Any) -> Load:
    (folder / "key").write_text(store.sas("cw"))
    roles: dict[str, Callable[[], None]] = {
        "outbox": lambda: live_outbox(folder, SpoolLimits(), PERIOD_MS),
        "uplink": lambda: live_uplink(folder, store.url(), form),
        "producer": lambda: live_producer(folder),
    }
    alive = {name: fork(role) for name, role in roles.items()}
    try:
        time.sleep(SETTLE_S)
        before, produced, begin = {name: cpu_s(pid) for name, pid in alive.items()}, _account(folder), time.monotonic()
        time.sleep(seconds)
        after, now, elapsed = (
            {name: cpu_s(pid) for name, pid in alive.items()},
            _account(folder),
            time.monotonic() - begin,
        )
        sent = sum(len(data) for data in store.objects().values())
        shares = {name: (after[name] - before[name]) / elapsed for name in alive}
        return Load(
            **shares,
            records_per_s=(now.produced - produced.produced) / elapsed,
            delivered=now.delivered - produced.delivered,
            wire_bytes_per_record=sent / max(1, now.delivered),
        )
    finally:
        for name, pid in alive.items():
            kill(name, pid)


def _account(folder: Path) -> Any:
    return total(read_ledgers(outbox_dir(folder)).values())


def cpu_s(pid: int) -> float:
    """Processor time of a process and its threads so far, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def live_uplink(folder: Path, url: str, form: str) -> None:
    """What the thread of the node does, with the waits that it has."""
    claims = Claims(outbox_dir(folder), MonotonicClock())
    claims.open()
    store = open_store(url, default=folder, notes=folder / "blocks", access_file=str(folder / "key"))
    sync = open_sync(
        claims,
        store,
        folder / "uplink",
        clock=MonotonicClock(),
        random=random.Random(),
        settings=SyncSettings(form=form),
        conditions=LET_OUT,
    )
    while True:
        if not sync.step():
            time.sleep(0.1)


def live_producer(folder: Path) -> None:
    """Telemetry as the outbox writes it, at a steady rate."""
    chance, producer, due = random.Random(1), Producer(outbox_dir(folder), "load", timeout_s=30.0), time.monotonic()
    number = 0
    while True:
        batch = []
        for _ in range(int(RATE_HZ * BATCH_S)):
            number += 1
            batch.append(PutRecord(number * 100_000, 10**18 + number * 100_000, payload(number, chance)))
        producer.put_many(RecordClass.TREND, batch)
        due += BATCH_S
        time.sleep(max(0.0, due - time.monotonic()))


def payload(number: int, chance: random.Random) -> bytes:
    """About 240 bytes."""
    message = {
        "stamp_ns": number * 100_000,
        "speed_mps": round(20 + chance.random(), 3),
        "steering_rad": 0.001 * (number % 90),
    }
    message |= {"accel_mps2": round(chance.uniform(-1, 1), 4), "brake_pressed": number % 50 == 0}
    head = {"topic": "state/vehicle", "type": "cardan.runtime.messages:VehicleState", "topic_seq": number, "epoch": 1}
    text = json.dumps({**head, "origin_ns": number * 100_000, "valid": True, "message": message}, separators=(",", ":"))
    return text.encode()


if __name__ == "__main__":
    for one in ("jsonl", "columns", "parquet"):
        print(one, run(8.0, one))
