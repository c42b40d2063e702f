"""One publisher for the topics of a node: whoever comes second is told the name of the first."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from cardan.runtime.errors import BusError


def lock_publisher(bus_dir: Path, node: str) -> int:
    """Be the publisher of `node` for as long as the returned descriptor is open, and no longer than this process lives.

    BusError names the process that is it already.
    """
    return hold(bus_dir / f"{node}.lock", f'the topics of node "{node}"')


def hold(path: Path, what: str) -> int:
    """Be the only publisher of `what` for as long as the descriptor is open; the file at `path` stays."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(descriptor, 32).decode(errors="replace")
        os.close(descriptor)
        raise BusError(
            f"{what} already have a publisher (process {owner or 'unknown'})",
            hint="stop the other one first, or give this one another name",
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
