"""The compiled parts of the bus, where they could be compiled when cardan was installed; see docs/adr/0040.

Who uses one has the same in Python, and takes that where there is none.
"""

from __future__ import annotations

from typing import Any

EDITION = 2
"""Raised with every change of what the parts do: parts of another edition are not those of this code."""


def _compiled_or_none() -> Any:
    try:
        from cardan.runtime.bus import _native  # type: ignore[attr-defined]
    except ImportError:
        return None
    return _native if _native.EDITION == EDITION else None


compiled: Any = _compiled_or_none()
"""The module `_native`, or None."""
