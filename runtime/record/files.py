"""The recordings folder: which file belongs to which run, and which goes when the quota is reached."""

from __future__ import annotations

import os
from pathlib import Path

from cardan.runtime.record.mcap_file import unlocked_or_none

SUFFIX = ".mcap"


def recordings_dir(data_dir: Path) -> Path:
    """Folder of all recordings of this computer."""
    return data_dir / "recordings"


def recording_path(data_dir: Path, run_id: str, part: int = 1) -> Path:
    """File of a run: `<run id>.mcap`; parts after the first (size reached, or recorder restarted) have a number."""
    name = run_id if part == 1 else f"{run_id}.part{part}"
    return recordings_dir(data_dir) / f"{name}{SUFFIX}"


def recording_paths(data_dir: Path, run_id: str) -> list[Path]:
    """Every file of a run that is there, in order."""
    paths = recordings_dir(data_dir).glob(f"{run_id}*{SUFFIX}")
    parts = {_part(path, run_id): path for path in paths}
    return [parts[part] for part in sorted(parts) if part > 0]


def next_part(data_dir: Path, run_id: str) -> Path:
    """The first name of this run that no file has, nor had while the newest one was written."""
    paths = recording_paths(data_dir, run_id)
    part = _part(paths[-1], run_id) + 1 if paths else 1
    return recording_path(data_dir, run_id, part)


def _part(path: Path, run_id: str) -> int:
    """Number of a part; 0 for a file of another run."""
    rest = path.name[len(run_id) : -len(SUFFIX)]
    if not rest:
        return 1
    number = rest.removeprefix(".part")
    return int(number) if rest.startswith(".part") and number.isdecimal() else 0


def evict(folder: Path, quota_bytes: int, keep: Path | None = None) -> list[Path]:
    """Delete the oldest recordings until the folder holds at most `quota_bytes`; returns what was deleted.

    `keep`, and every file that somebody writes, stays, even when that leaves the folder above its quota.
    """
    files = sorted(_files_by_age(folder))
    excess = sum(size for _, _, size in files) - quota_bytes
    evicted: list[Path] = []
    for _, path, size in files:
        if excess <= 0:
            break
        if path != keep and _delete_unless_open(path):
            evicted.append(path)
            excess -= size
    return evicted


def _files_by_age(folder: Path) -> list[tuple[int, Path, int]]:
    with os.scandir(folder) as entries:
        found = [(entry, entry.stat()) for entry in entries if entry.name.endswith(SUFFIX)]
    return [(status.st_mtime_ns, Path(entry.path), status.st_size) for entry, status in found]


def _delete_unless_open(path: Path) -> bool:
    with unlocked_or_none(path) as descriptor:
        if descriptor is None:
            return False
        path.unlink(missing_ok=True)
    return True
