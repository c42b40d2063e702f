"""The compiled parts of the bus, where there are any; see docs/adr/0040.

Who uses one has the same in Python, and takes that where there is none.
"""

from __future__ import annotations

from typing import Any

from cardan.runtime.compiled_part import compiled_part

EDITION = 2
"""Raised with every change of what the parts do."""

compiled: Any = compiled_part("cardan.runtime.bus", EDITION)
"""The module `_native`, or None."""
