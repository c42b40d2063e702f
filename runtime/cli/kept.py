"""What a run keeps on disk: the path and size of its recording, and what its outbox has synced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from cardan.runtime.plan import Plan

RECORDER = "cardan.runtime.record.recorder:Recorder"
OUTBOX = "cardan.runtime.outbox.node:Outbox"


def recording_of(plan: Plan, data_dir: Path, run_id: str) -> tuple[str, int] | None:
    """Path of the first file of the run's recording, and the size of all of them; None when it recorded nothing."""
    if not run_id or not _has(plan, RECORDER):
        return None
    from cardan.runtime.record.files import recording_paths

    paths = recording_paths(data_dir, run_id)
    return (str(paths[0]), sum(_size(path) for path in paths)) if paths else None


def synced_of(plan: Plan, data_dir: Path) -> Mapping[str, Any] | None:
    """The account of the outbox over all runs, and what it says of its store; None when the manifest has no outbox."""
    if not _has(plan, OUTBOX):
        return None
    from cardan.runtime.uplink.status import sync_status_or_none

    status = sync_status_or_none(data_dir)
    return None if status is None else {**asdict(status.ledger), **asdict(status.report)}


def _has(plan: Plan, use: str) -> bool:
    return any(node.use == use for node in plan.nodes)


def _size(path: Path) -> int:
    """0 for a file that the quota took meanwhile."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
