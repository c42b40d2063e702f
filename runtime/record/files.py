"""The recordings folder: which file belongs to which run, and which goes when the quota is reached."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".mcap"

RANKS = ("event", "crash")
"""Kinds of clips; the later ones outlive the earlier."""

CLIP = re.compile(r"(?P<run>[^.]+)\.(?P<kind>event|crash)-(?P<number>\d+)\.(?P<trigger>[^.]+)\.mcap")


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


def next_clip(data_dir: Path, run_id: str, kind: str, trigger: str) -> Path:
    """A name for the clip of a trigger: `<run id>.<kind>-<number>.<trigger>.mcap`; the run's clips are counted."""
    taken = [match for path in recordings_dir(data_dir).glob(f"{run_id}.*") if (match := CLIP.fullmatch(path.name))]
    number = max((int(match["number"]) for match in taken), default=0) + 1
    return recordings_dir(data_dir) / f"{run_id}.{kind}-{number}.{trigger}{SUFFIX}"


def rank(path: Path) -> int:
    """What outlives what: 0 for recordings of runs, then clips of events, then those of crashes."""
    match = CLIP.fullmatch(path.name)
    return 0 if match is None else RANKS.index(match["kind"]) + 1


def evict(folder: Path, quota_bytes: int, clip_quota_bytes: int | None = None) -> list[Path]:
    """Delete recordings until the quotas hold; returns what was deleted.

    First clips beyond their own quota go, then whatever is beyond the quota of all: recordings of runs before clips of
    events, before those of crashes; the oldest first. A file that somebody writes stays, even when that leaves the
    folder above its quota.
    """
    files = _files_by_rank_and_age(folder)
    evicted: list[Path] = []
    if clip_quota_bytes is not None:
        evicted += _evict([file for file in files if file.rank], clip_quota_bytes)
    return evicted + _evict([file for file in files if file.path not in evicted], quota_bytes)


def free_room(folder: Path, wanted_bytes: int) -> list[Path]:
    """Delete recordings of runs, the oldest first, until so much is free on the disk; returns what was deleted."""
    deleted: list[Path] = []
    for file in _files_by_rank_and_age(folder):
        if file.rank or _free_bytes(folder) >= wanted_bytes:
            break
        if _delete_unless_open(file.path):
            deleted.append(file.path)
    return deleted


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


class _File(NamedTuple):
    rank: int
    changed_ns: int
    path: Path
    size: int


def _evict(files: list[_File], quota_bytes: int) -> list[Path]:
    excess = sum(file.size for file in files) - quota_bytes
    evicted: list[Path] = []
    for file in files:
        if excess <= 0:
            break
        if _delete_unless_open(file.path):
            evicted.append(file.path)
            excess -= file.size
    return evicted


def _files_by_rank_and_age(folder: Path) -> list[_File]:
    with os.scandir(folder) as entries:
        found = [(entry, entry.stat()) for entry in entries if entry.name.endswith(SUFFIX)]
    files = [(Path(entry.path), status) for entry, status in found]
    return sorted(_File(rank(path), status.st_mtime_ns, path, status.st_size) for path, status in files)


def _delete_unless_open(path: Path) -> bool:
    from cardan.runtime.record.mcap_file import unlocked_or_none

    try:
        with unlocked_or_none(path) as descriptor:
            if descriptor is None:
                return False
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return True  # somebody else has deleted it meanwhile
    return True
