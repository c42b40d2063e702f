"""Write the files of the service: see what would change, then change exactly that, each file at once or not at all."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODE = 0o644


@dataclass(frozen=True)
class Change:
    """One file; `before` is None where there is none yet."""

    path: Path
    before: str | None
    after: str

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def difference(self) -> list[str]:
        """Removed and added lines of a file that is there, as `-old` and `+new`."""
        before, after = (self.before or "").splitlines(), self.after.splitlines()
        lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
        return [line for line in lines if not line.startswith("@@")]


def changes_for(texts: Mapping[str, str], root: Path) -> list[Change]:
    """What has to be written below `root`; OSError where a file cannot be read."""
    return [_change(root / target.lstrip("/"), text) for target, text in texts.items()]


def _change(path: Path, text: str) -> Change:
    return Change(path, path.read_text() if path.exists() else None, text)


def closed_folder(changes: list[Change]) -> Path | None:
    """The first folder that would have to be written and cannot be; None when all can."""
    for change in changes:
        folder = next(parent for parent in change.path.parents if parent.exists())
        if change.changes and not os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def write_changes(changes: list[Change]) -> None:
    """Write what differs, readable by all."""
    for change in changes:
        if change.changes:
            _replace(change.path, change.after)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text)
    staged.chmod(MODE)
    staged.replace(path)


def closed_to_others(path: Path) -> Path | None:
    """The first folder above `path` that only its owner may enter; None when others reach the file too."""
    for folder in reversed(Path(os.path.realpath(path)).parents):
        if folder.exists() and not folder.stat().st_mode & 0o001:
            return folder
    return None
