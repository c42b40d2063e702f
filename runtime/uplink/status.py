"""What the outbox says about itself, readable when its process is gone: the account, the store, and what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cardan.runtime.uplink.ledger import Ledger, read_ledger_or_none

STREAM = "telemetry"
REPORT_NAME = "sync.json"


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What only the outbox knows; it writes this down when it changes."""

    store: str
    """URL."""
    consent: bool
    """False: nothing leaves the vehicle."""
    problem: str | None = None
    """Why something is not delivered."""
    objects: int = 0
    """Delivered by the process that wrote this."""
    last_delivery_wall_ns: int | None = None


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Account and report together."""

    ledger: Ledger
    report: SyncReport


def outbox_dir(data_dir: Path) -> Path:
    """Folder of the outbox."""
    return data_dir / "outbox"


def queue_dir(data_dir: Path) -> Path:
    """Folder of the outbox's queue."""
    return outbox_dir(data_dir) / STREAM


def store_dir(data_dir: Path) -> Path:
    """The store of a vehicle that has none."""
    return data_dir / "store"


def sync_status_or_none(data_dir: Path) -> SyncStatus | None:
    """Account and report of the outbox in `data_dir`; None where there never was one. Needs no running node."""
    ledger = read_ledger_or_none(queue_dir(data_dir))
    if ledger is None:
        return None
    report = read_report_or_none(data_dir) or SyncReport(store="", consent=False)
    return SyncStatus(ledger=ledger, report=report)


def write_report(data_dir: Path, report: SyncReport) -> None:
    """Replace the report in one step."""
    path = outbox_dir(data_dir) / REPORT_NAME
    new = path.with_name(f".{REPORT_NAME}.new")
    new.write_bytes(msgspec.json.encode(report))
    os.replace(new, path)


def read_report_or_none(data_dir: Path) -> SyncReport | None:
    """The newest report; None when there is none that can be read."""
    try:
        return msgspec.json.decode((outbox_dir(data_dir) / REPORT_NAME).read_bytes(), type=SyncReport)
    except (OSError, msgspec.MsgspecError):
        return None
