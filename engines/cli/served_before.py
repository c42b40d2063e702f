"""What served the engines of a run that is over, or of a bundle: as their hosts said it in the event log."""

from __future__ import annotations

from typing import Any

from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.log.read import log_folder, read_log

KEYS = ("engine", "model", "sha256", "backend", "precision")


def served_before(found: FoundRun) -> list[dict[str, Any]]:
    """One row for each engine, of what served it last; NoDataError when no host has said anything."""
    records = read_log(log_folder(found.data_dir) / found.run_id) if found.run_id else []
    last = {str(record.fields.get("engine")): record for record in records if record.code == "engine-serves"}
    if not last:
        raise NoDataError("no network has served an engine in this run", hint="`cardan log --level warning` says more")
    return [
        {
            "host": record.node,
            **{key: str(record.fields.get(key, "")) for key in KEYS},
            "stands_in": bool(record.fields.get("stands_in")),
            "previous": None,
            "change": None,
        }
        for record in last.values()
    ]
