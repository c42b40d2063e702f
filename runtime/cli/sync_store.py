"""The store that `cardan sync verify --store` looks into: a folder, an address, or the one of the last run."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.runs import Place, find_run
from cardan.runtime.uplink.planned import PlannedStore, planned_store_or_none
from cardan.runtime.uplink.status import store_dir, uplink_dir
from cardan.runtime.uplink.stores.store import ReadableStore

OF_THE_RUN = ""
"""What `--store` is without a value."""


def planned_or_none(data_dir: str | None) -> PlannedStore | None:
    """What the active run, or the last one, was told; None where there is no run, or it has no uplink."""
    try:
        found = find_run(Place(Path(data_dir) if data_dir else None))
    except NoDataError:
        return None
    found.vitals.close()
    return planned_store_or_none(found.plan)


def meant_store(arguments: argparse.Namespace) -> PlannedStore:
    """The store that the command line means, with its keys: the run's to the run's store, unless it names others.

    NoDataError when it means the run's, and there is none.
    """
    planned = planned_or_none(arguments.data_dir)
    if arguments.store == OF_THE_RUN:
        if planned is None:
            raise NoDataError("no run with an uplink is known here", hint="name the store: --store FOLDER or ADDRESS")
        meant = planned
    else:
        address = arguments.store if "://" in arguments.store else Path(arguments.store).resolve().as_uri()
        same = planned is not None and planned.store == address
        meant = planned if planned is not None and same else PlannedStore(store=address)
    if arguments.key:
        meant = msgspec.structs.replace(meant, encryption_key=arguments.key, base=str(Path.cwd()))
    return msgspec.structs.replace(meant, access_file=arguments.access_file or meant.access_file)


def open_meant(meant: PlannedStore, data_dir: Path) -> ReadableStore:
    """The store itself; nothing is asked yet. NoDataError where there is no such folder."""
    from cardan.runtime.uplink.stores.choose import open_store  # no business of `cardan sync status`
    from cardan.runtime.uplink.stores.location import location_of

    folder = Path(location_of(meant.store).path) if meant.store.startswith("file:") else None
    folder = store_dir(data_dir) if not meant.store else folder
    if folder is not None and not folder.is_dir():
        raise NoDataError(f"there is no folder {folder}", hint="is the disk mounted?")
    return open_store(
        meant.store,
        default=store_dir(data_dir),
        notes=uplink_dir(data_dir) / "blocks",
        access_file=meant.access_file,
        options=meant.store_options,
    )
