"""The compiled parts of the bus, where there are any; see docs/adr/0040.

Who uses one has the same in Python, and takes that where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cardan.runtime.compiled_part import compiled_part

EDITION = 4
"""Raised with every change of what the parts do."""

compiled: Any = compiled_part("cardan.runtime.bus", EDITION)
"""The module `_native`, or None."""


def _no_fence() -> None:
    """Python has none; processors that keep the order of stores need none."""


fence: Callable[[], None] = _no_fence if compiled is None else compiled.fence
"""What this process loads and stores before it is done before what follows, as other processors see it."""
