"""How far each class has been told, on disk: a kill repeats a little and loses nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.disk import make_folder_durably, write_durably
from cardan.runtime.live.feed import Position

Positions = dict[str, Position]
"""Stream -> position."""


def positions_path(data_dir: Path) -> Path:
    """Where they are kept."""
    return data_dir / "live" / "positions.json"


def read_positions(path: Path) -> Positions:
    """The positions that were kept; none where there are none that can be read, so that everything is told again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Positions)
    except (OSError, msgspec.MsgspecError):
        return {}


def keep_positions(path: Path, positions: Positions) -> None:
    """Make them durable. OSError when the disk refuses."""
    make_folder_durably(path.parent)
    write_durably(path, msgspec.json.encode(positions))
