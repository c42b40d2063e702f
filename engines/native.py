"""The compiled part of the engines, where it could be compiled when cardan was installed; see docs/adr/0041.

Who uses it has the same in numpy, and takes that where there is none.
"""

from __future__ import annotations

from typing import Any

EDITION = 1
"""Raised with every change of what the part does: one of another edition is not that of this code."""


def _compiled_or_none() -> Any:
    try:
        from cardan.engines import _native  # type: ignore[attr-defined]
    except ImportError:
        return None
    return _native if _native.EDITION == EDITION else None


compiled: Any = _compiled_or_none()
"""The module `_native`, or None."""
