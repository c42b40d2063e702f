"""Account of the outbox and report of the uplink, readable when their processes are gone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.disk import replace_file
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.ledger import Ledger, read_ledgers, total
from cardan.runtime.uplink.files import FileNote, files_dir, waiting_notes
from cardan.runtime.uplink.holds import Hold
from cardan.runtime.uplink.links import NO_LINK, Link

REPORT_NAME = "sync.json"
FROZEN = "outbox/status.json"
"""In a bundle: account and report in one."""


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What only the uplink knows; it writes this down when it changes."""

    store: str
    """URL."""
    consent: bool
    """False: nothing leaves the vehicle."""
    link: Link = NO_LINK
    problem: str | None = None
    """Why something is not delivered."""
    problem_kind: str = ""
    """What kind of refusal that was (see StoreError)."""
    objects: int = 0
    """Delivered by the process that wrote this."""
    sent_bytes: int = 0
    """That left since then, also of tries that failed."""
    failures: int = 0
    """In a row."""
    retry_wall_ns: int | None = None
    """Nothing is tried before."""
    holds: dict[str, Hold] = {}
    """By class, where one is held back."""
    left_bytes: dict[str, int] = {}
    """By class, where one has a budget on the present link."""
    refused: dict[str, str] = {}
    """Objects that are not tried again until somebody asks for it, and why."""
    withdrawn: dict[str, tuple[str, ...]] = {}
    """Segments that stay because consent was withdrawn after their records were kept, and to which purposes."""
    last_delivery_wall_ns: int | None = None


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Account and report together."""

    ledger: Ledger
    """Of all classes together."""
    report: SyncReport


def store_dir(data_dir: Path) -> Path:
    """The store of a vehicle that has none."""
    return data_dir / "store"


def uplink_dir(data_dir: Path) -> Path:
    """What the uplink keeps for itself."""
    return data_dir / "uplink"


def files_waiting(data_dir: Path) -> list[FileNote]:
    """Whole files that wait for the store, oldest first."""
    return list(waiting_notes(files_dir(uplink_dir(data_dir))).values())


def sync_status_or_none(data_dir: Path) -> SyncStatus | None:
    """Account and report of the outbox in `data_dir`; None where there never was one. Needs no running node."""
    frozen = _frozen_or_none(data_dir)
    if frozen is not None:
        return frozen
    ledgers = read_ledgers(outbox_dir(data_dir))
    if not ledgers:
        return None
    report = read_report_or_none(data_dir) or SyncReport(store="", consent=False)
    return SyncStatus(ledger=total(ledgers.values()), report=report)


def _frozen_or_none(data_dir: Path) -> SyncStatus | None:
    """The status as it was when a bundle was made: a bundle has no queue."""
    try:
        return msgspec.json.decode((data_dir / FROZEN).read_bytes(), type=SyncStatus)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def write_report(data_dir: Path, report: SyncReport) -> None:
    """Replace the report in one step."""
    replace_file(outbox_dir(data_dir) / REPORT_NAME, msgspec.json.encode(report))


def read_report_or_none(data_dir: Path) -> SyncReport | None:
    """The newest report; None when there is none that can be read."""
    try:
        return msgspec.json.decode((outbox_dir(data_dir) / REPORT_NAME).read_bytes(), type=SyncReport)
    except (OSError, msgspec.MsgspecError):
        return None
