"""The compiled part of the engines, where there is one; see docs/adr/0041.

Who uses it has the same in numpy, and takes that where there is none.
"""

from __future__ import annotations

from typing import Any

from cardan.runtime.compiled_part import compiled_part

EDITION = 1
"""Raised with every change of what the part does."""

compiled: Any = compiled_part("cardan.engines", EDITION)
"""The module `_native`, or None."""
