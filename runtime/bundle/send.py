"""Sending a bundle: it is handed to the uplink as a whole file, which keeps it on the disk until the store has it."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.clock import Clock
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.privacy.settings import Purpose
from cardan.runtime.uplink.files import FileNote, files_dir, hand_over, waiting_notes
from cardan.runtime.uplink.status import uplink_dir

PURPOSE: Purpose = "diagnostics"


def send(file: Path, data_dir: Path, clock: Clock) -> FileNote:
    """Keep the file for the store; on the disk when this returns. What waits already does not wait twice.

    ConfigError when it is no file, DeviceError when there is no room.
    """
    folder = uplink_dir(data_dir)
    before = waiting_notes(files_dir(folder))
    note = hand_over(folder, file, kind=RecordClass.BULK, purposes=(PURPOSE,), clock=clock)
    twice = [old for old in before.values() if (old.name, old.sha256) == (note.name, note.sha256)]
    if twice:
        _take_back(files_dir(folder), before, note)
        return twice[0]
    return note


def _take_back(folder: Path, before: dict[str, FileNote], note: FileNote) -> None:
    """Remove what was handed over a second time."""
    for identity, known in waiting_notes(folder).items():
        if identity not in before and known == note:
            (folder / f"{identity}.json").unlink(missing_ok=True)
            (folder / f"{identity}.data").unlink(missing_ok=True)
