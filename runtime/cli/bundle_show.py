"""A bundle for a person and as JSON: the same for every verb of `cardan bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bundle.header import Header
from cardan.runtime.cli import units
from cardan.runtime.cli.lines import Line, safe_text
from cardan.runtime.cli.moments import date_text


def spoken(bundle_id: str) -> str:
    """`K7M 4QP`: as it is read over the phone."""
    return f"{bundle_id[:3]} {bundle_id[3:]}"


def document(header: Header, file: Path, **more: Any) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "schema_version": 1,
        "id": header.id,
        "file": str(file),
        "bytes": size_of(file),
        "run": header.run,
        "made": date_text(header.made_wall_ns),
        "vehicle": header.vehicle,
        "computer": header.computer,
        "was_live": header.was_live,
        "redacted": header.redacted,
        "collectors": msgspec.to_builtins(header.collectors),
        **more,
    }


def size_of(file: Path) -> int:
    """0 for a folder, and for what is gone."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def failed(header: Header) -> list[str]:
    return [item.name for item in header.collectors if not item.ok]


def verdict_of(header: Header) -> str:
    """`ok`, or which collectors failed."""
    names = failed(header)
    return f"not collected: {', '.join(names)}" if names else "ok"


def header_lines(header: Header, file: Path) -> list[Line]:
    """What it is of, what was taken out, and how each collector ended."""
    names = failed(header)
    size = f", {units.size(size_of(file))}" if size_of(file) else ""
    verdict = f"bundle {spoken(header.id)}{size}" + (f"; {verdict_of(header)}" if names else "")
    live = "while it was active" if header.was_live else "after it had ended"
    lines = [
        Line(safe_text(verdict), "bad" if names else "good"),
        Line(safe_text(f"  {file}")),
        Line(safe_text(f"  run {header.run} of {header.vehicle} on {header.computer}, {live}")),
        Line(safe_text(f"  made {date_text(header.made_wall_ns)} UTC with cardan {header.cardan}")),
        *(Line(safe_text(f"  without {text}"), "faint") for text in header.redacted),
        Line(""),
    ]
    width = max((len(item.name) for item in header.collectors), default=0)
    for item in header.collectors:
        mark, role = ("ok  ", "plain") if item.ok else ("FAIL", "bad")
        text = f"  {mark}  {item.name:<{width}}  {item.seconds:6.2f} s  {units.size(item.bytes):>8}  {item.text}"
        lines.append(Line(safe_text(text), role))
    return lines
