"""`cardan bundle send`: keep a bundle for the store, to which the uplink brings it when it may."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cardan.runtime.bundle.header import read_header_or_none
from cardan.runtime.bundle.send import PURPOSE, send
from cardan.runtime.bundle.unpack import opened
from cardan.runtime.cli.bundle_show import spoken
from cardan.runtime.cli.exits import NoDataError, RefusedError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.place import place_of
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.privacy.consent import ConsentFile


def run(arguments: argparse.Namespace) -> int:
    """Hand it over; RefusedError without consent to diagnostics."""
    file = Path(arguments.file).expanduser()
    header = read_header_or_none(opened(file))
    if header is None or not file.is_file():
        raise NoDataError(f"{file} is no bundle", hint="`cardan bundle list`")
    name = put_into_outbox(file, find_run(place_of(arguments)))
    if arguments.json:
        print(json.dumps({"schema_version": 1, "id": header.id, "file": str(file), "name": name}))
    else:
        write_lines([Line(safe_text(sent_text(header.id)), "good")], sys.stdout)
    return 0


def put_into_outbox(file: Path, found: FoundRun) -> str:
    """Its name at the store."""
    require_consent(found)
    return send(file, found.data_dir, MonotonicClock()).name


def require_consent(found: FoundRun) -> None:
    """A bundle is for finding faults: without consent to that, it is not kept for the store."""
    consent = ConsentFile(found.data_dir, found.plan.privacy.consent).now()
    if not consent.covers(frozenset({PURPOSE})):
        raise RefusedError(
            f"refused: there is no consent to {PURPOSE}, so a bundle may not leave this vehicle",
            hint=f"`cardan sync consent give {PURPOSE}`; or carry the file away yourself",
        )


def sent_text(bundle_id: str) -> str:
    return f"bundle {spoken(bundle_id)} is kept for the store until it is there; `cardan sync why`"
