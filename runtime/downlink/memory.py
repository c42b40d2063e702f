"""What the vehicle remembers of what was asked of it, on disk.

Commands are kept until they can never come again, campaigns until they are replaced, and so is the latest time that
anybody whom we trust has written down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.disk import make_folder_durably, write_durably
from cardan.runtime.downlink.documents import Campaign
from cardan.runtime.errors import DeviceError

MOST_COMMANDS = 1000
MOST_CAMPAIGNS = 20


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of something that was asked."""

    asked: str
    """`command` or `campaign`; `unknown` for what could not be read."""
    name: str
    """Id of a command, name and version of a campaign, hash of anything else."""
    state: str
    """done, failed, refused, interrupted, accepted, replaced or ended."""
    reason: str = ""
    text: str = ""
    key: str = ""
    """Who signed it; empty while nobody knows."""
    output: dict[str, Any] = {}


class RememberedCommand(msgspec.Struct, kw_only=True):
    """A command that was begun. It is never begun again."""

    deadline_s: int
    key: str
    verb: str
    result: Result | None = None
    """None while it is being done, or when that was cut off."""


class RememberedCampaign(msgspec.Struct, kw_only=True):
    """A campaign that was accepted."""

    campaign: Campaign
    key: str
    spent_bytes: int = 0
    ended: str = ""
    """Why it collects no more; empty while it does."""


class Kept(msgspec.Struct, kw_only=True):
    """The whole memory."""

    floor_s: int = 0
    """No earlier than this is it now: the latest time of issue of anything that a trusted key has signed."""
    commands: dict[str, RememberedCommand] = {}
    campaigns: dict[str, RememberedCampaign] = {}
    untold: list[Result] = []
    """Results that are not in the outbox yet."""


class Memory:
    """Reads once, writes whole. For one process."""

    def __init__(self, data_dir: Path) -> None:
        self.path = memory_path(data_dir)
        self.kept = read_memory(data_dir)

    def write(self) -> None:
        """Make everything durable. OSError of the disk passes through."""
        make_folder_durably(self.path.parent)
        write_durably(self.path, msgspec.json.encode(self.kept))

    def forget_what_cannot_come_again(self) -> None:
        """A command whose deadline lies before a signed time is refused as expired, so its id may go."""
        kept = self.kept
        kept.commands = {
            name: command
            for name, command in kept.commands.items()
            if command.result is None or command.deadline_s >= kept.floor_s
        }


def memory_path(data_dir: Path) -> Path:
    """Where it lies."""
    return data_dir / "downlink" / "memory.json"


def read_memory(data_dir: Path) -> Kept:
    """What is remembered; nothing where there is no file.

    DeviceError when there is one that cannot be read: to begin anew would let every command come again.
    """
    path = memory_path(data_dir)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, msgspec.MsgspecError) as error:
        raise DeviceError(
            f"{path} cannot be read, so nobody knows which commands were done: {error}",
            hint="every command may come again once you remove it: wait until all deadlines are over",
        ) from error
