"""Wait for descriptors: `select.select` fails on numbers from 1024 on, `poll` does not."""

from __future__ import annotations

import math
import select
from collections.abc import Iterable

MS_PER_S = 1_000


def readable(descriptors: Iterable[int], timeout_s: float | None = None) -> list[int]:
    """Those from which something can be read, a closed other end included; blocks until there is one, or time is up."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    timeout_ms = None if timeout_s is None else math.ceil(max(0.0, timeout_s) * MS_PER_S)
    return [descriptor for descriptor, _ in poll.poll(timeout_ms)]
