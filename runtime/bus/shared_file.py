"""A new file of shared memory, all of which is taken at once: where there is no room that is seen here, and is never a
SIGBUS while the vehicle drives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cardan.runtime.errors import BusError


@contextmanager
def new_shared_file(path: Path, size: int, purpose: str) -> Iterator[int]:
    """The descriptor of a new file of `size` zeros, for this user alone; BusError when it cannot be made or filled."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BusError(
            f"cannot make {size} bytes of shared memory for {purpose} at {path}: {error.strerror}",
            hint=f"has {path.parent} room, and may you write there? `df -h {path.parent}`",
        ) from error
