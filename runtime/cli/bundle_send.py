"""`cardan bundle send`: put a bundle into the outbox, which brings it to the store when it may."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cardan.runtime.bundle.header import read_header_or_none
from cardan.runtime.bundle.send import send
from cardan.runtime.bundle.unpack import opened
from cardan.runtime.cli.bundle_show import spoken
from cardan.runtime.cli.exits import NoDataError, RefusedError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.place import place_of
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.privacy.consent import ConsentFile

PURPOSE = "diagnostics"


def run(arguments: argparse.Namespace) -> int:
    """Send it, or go on with it; RefusedError without consent to diagnostics."""
    file = Path(arguments.file).expanduser()
    header = read_header_or_none(opened(file))
    if header is None or not file.is_file():
        raise NoDataError(f"{file} is no bundle", hint="`cardan bundle list`")
    put, parts = put_into_outbox(file, header.id, find_run(place_of(arguments), must_live=True))
    if arguments.json:
        print(json.dumps({"schema_version": 1, "id": header.id, "file": str(file), "put": put, "parts": parts}))
    else:
        write_lines([Line(safe_text(sent_text(header.id, put, parts)), "good")], sys.stdout)
    return 0


def put_into_outbox(file: Path, bundle_id: str, found: FoundRun) -> tuple[int, int]:
    """Parts that were put now, and all parts."""
    require_consent(found)
    return send(file, bundle_id, found.data_dir, MonotonicClock())


def require_consent(found: FoundRun) -> None:
    """A bundle is for finding faults: without consent to that, nothing of it is kept for the store."""
    consent = ConsentFile(found.data_dir, found.plan.privacy.consent).now()
    if not consent.covers(frozenset({PURPOSE})):
        raise RefusedError(
            f"refused: there is no consent to {PURPOSE}, so a bundle may not leave this vehicle",
            hint=f"`cardan sync consent give {PURPOSE}`; or carry the file away yourself",
        )


def sent_text(bundle_id: str, put: int, parts: int) -> str:
    return f"bundle {spoken(bundle_id)}: all {parts} parts are in the outbox, {put} of them new; `cardan why upload`"
