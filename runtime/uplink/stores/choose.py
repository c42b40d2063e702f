"""From what a manifest says to the store itself."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.disk import make_folder_durably
from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.stores.access import AccessFile
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.stores.location import location_of
from cardan.runtime.uplink.stores.store import ReadableStore


def open_store(
    url: str,
    *,
    default: Path,
    notes: Path,
    access_file: str = "",
    options: dict[str, str] | None = None,
) -> ReadableStore:
    """The store that `url` names; an empty one is the folder `default`, which is made. Nothing is sent yet.

    notes: folder for what is kept of blocks that were sent. ConfigError when there is no such store, or its library is
    not installed.
    """
    if not url:
        try:
            make_folder_durably(default)
        except OSError as error:
            raise ConfigError(
                f"the folder {default} of the store cannot be made: {error.strerror}",
                hint="move away what is there, or name a store in the config of the uplink",
            ) from error
        return FolderStore(default)
    location = location_of(url)
    if location.kind == "file":
        return FolderStore(Path(location.path))
    from cardan.runtime.uplink.stores.blocks import BlockLog
    from cardan.runtime.uplink.stores.cloud import CloudStore

    path = Path(access_file).expanduser() if access_file else None
    return CloudStore(location, AccessFile(path), options or {}, BlockLog(notes))


def is_on_this_computer(url: str) -> bool:
    """True when nothing that is sent to this store leaves the computer: a folder, a server for tests."""
    return not url or location_of(url).is_plain_http or location_of(url).kind == "file"
