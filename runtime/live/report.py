"""What `live` says about itself on disk, so that others can tell also when nothing runs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.disk import replace_file
from cardan.runtime.live.feed import Counts


class LiveReport(msgspec.Struct, frozen=True, kw_only=True):
    """As of the last change, and once in a while."""

    broker: str
    vehicle: str
    """As the broker knows it."""
    connected: bool
    code: str
    """Of what is not as it should be; empty while all is well."""
    text: str
    """The same for a person, also of what is no finding yet."""
    told: dict[str, Counts]
    """By class."""
    wall_ns: int


def report_path(data_dir: Path) -> Path:
    """Where it lies."""
    return data_dir / "live" / "report.json"


def write_report(data_dir: Path, report: LiveReport) -> None:
    """Replace it in one step. OSError of the disk passes through."""
    path = report_path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, msgspec.json.encode(report))


def read_report_or_none(data_dir: Path) -> LiveReport | None:
    """The newest report; None when there is none that can be read."""
    try:
        return msgspec.json.decode(report_path(data_dir).read_bytes(), type=LiveReport)
    except (OSError, msgspec.MsgspecError):
        return None
