"""Which recordings a command speaks of: a file with the further parts of its run, or a run by its id."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.cli.exits import NoDataError, UsageError
from cardan.runtime.cli.runs import Place, run_label
from cardan.runtime.errors import near_names
from cardan.runtime.record.files import SUFFIX, recording_paths, recordings_dir
from cardan.runtime.run import data_folder


def folder_of(data_dir: str | Place | None) -> Path:
    """The folder of recordings; NoDataError when there is none."""
    folder = recordings_dir(Path(data_dir) if data_dir else data_folder())
    if not folder.is_dir():
        raise NoDataError(
            f"there are no recordings in {folder}", hint="record some with `cardan up`, or name --data-dir"
        )
    return folder


def all_files(folder: Path) -> list[Path]:
    """Every recording, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def find_files(named: str, data_dir: str | Place | None) -> list[Path]:
    """The files of the recording that a person named: a file, a run id, or `last`."""
    path = Path(named)
    if path.is_file():
        return _with_parts(path)
    if path.suffix == SUFFIX or len(path.parts) > 1:
        raise NoDataError(f'there is no recording "{named}"', hint="`cardan record list`")
    folder = folder_of(data_dir)
    files = all_files(folder)
    runs = list(dict.fromkeys(file.name.split(".")[0] for file in files))
    if not runs:
        raise NoDataError(f"there are no recordings in {folder}", hint="record some with `cardan up`")
    wanted = _last(runs, data_dir) if named == "last" else named
    if wanted not in runs:
        raise UsageError(f'no recording "{named}"', hint=near_names(named, [*runs, "last"]))
    return recording_paths(folder.parent, wanted)


def _last(runs: list[str], data_dir: str | Place | None) -> str:
    """The newest run; with --at the newest that had begun by then. NoDataError when there is none."""
    at_ns = data_dir.at_ns if isinstance(data_dir, Place) else None
    begun = [run for run in runs if at_ns is None or run <= f"{run_label(at_ns)}~"]
    if not begun:
        raise NoDataError("no recording had begun at that time", hint=f"the oldest is {runs[0]}")
    return begun[-1]


def _with_parts(path: Path) -> list[Path]:
    """The file, and the parts of its run if it is the first of them in a folder of recordings."""
    if path.parent.name != recordings_dir(Path()).name:
        return [path]
    parts = recording_paths(path.parent.parent, path.stem)
    return parts if path in parts else [path]
