"""What a person wants of the uplink, in a file: paused classes, metered or not, and to try again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.disk import make_folder_durably, write_durably
from cardan.runtime.uplink.links import Metered

FILE_NAME = "wishes.json"


class UplinkWishes(msgspec.Struct, frozen=True, kw_only=True):
    """The last word of a person. It stays until there is another one, also over restarts."""

    paused: tuple[str, ...] = ()
    """Names of classes that are to stay."""
    metered: Metered = "auto"
    """Whether the present link costs money, whatever anything else says."""
    retries: int = 0
    """How often somebody asked to try again."""
    by: str = ""
    wall_ns: int = 0


def read_wishes(uplink_dir: Path) -> UplinkWishes:
    """What was said last; what cannot be read was not said."""
    try:
        return msgspec.json.decode((uplink_dir / FILE_NAME).read_bytes(), type=UplinkWishes)
    except (OSError, msgspec.MsgspecError):
        return UplinkWishes()


def write_wishes(uplink_dir: Path, wishes: UplinkWishes) -> None:
    """Say it. OSError of the disk passes through."""
    make_folder_durably(uplink_dir)
    write_durably(uplink_dir / FILE_NAME, msgspec.json.encode(wishes))


class WishesFile:
    """Wishes as of now; looking costs one `stat` unless the file has changed."""

    def __init__(self, uplink_dir: Path) -> None:
        self._folder = uplink_dir
        self._seen: tuple[int, int] | None = None
        self._wishes = UplinkWishes()

    def read(self) -> UplinkWishes:
        """The newest word."""
        try:
            status = (self._folder / FILE_NAME).stat()
            seen = (status.st_ino, status.st_mtime_ns)
        except OSError:
            self._wishes, self._seen = UplinkWishes(), None
            return self._wishes
        if seen != self._seen:
            self._wishes, self._seen = read_wishes(self._folder), seen
        return self._wishes
