"""What the supervisor hands to the process of a node at its start."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.bus.ring_ends import WakeFds
from cardan.runtime.run import RunPaths


class TakeOver(msgspec.Struct, frozen=True, kw_only=True):
    """What a spare process is told when it becomes the node: fields of its birth."""

    starts: int
    group: str


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """One start of one node. Descriptors are open in the new process under these numbers."""

    run_dir: str
    data_dir: str
    node: str
    starts: int
    """1 for the first process of this node in the run, then one more each time."""
    ready_fd: int
    """Takes what the node says about itself (see cardan.runtime.node.process)."""
    go_fd: int
    """Gives one byte when the node may step."""
    parent_pid: int
    """Of the supervisor: the node dies with it."""
    group: str = ""
    """Folder of its control group; empty for none."""
    wake: WakeFds = WakeFds()
    standby: bool = False
    """A spare process: it loads what the node needs, and waits at `go_fd` for a TakeOver."""

    @property
    def paths(self) -> RunPaths:
        """The folders of the run."""
        return RunPaths(Path(self.run_dir), Path(self.data_dir))

    def descriptors(self) -> set[int]:
        """Every descriptor that the process keeps."""
        return {self.ready_fd, self.go_fd, *self.wake.all()}
