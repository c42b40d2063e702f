"""Extension modules that were compiled when cardan was installed, where that could be done (docs/adr/0040)."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def compiled_part(package: str, edition: int) -> Any:
    """The module `_native` of a package; None where it was not compiled, or from other code than this (its EDITION)."""
    try:
        found = import_module(f"{package}._native")
    except ImportError:
        return None
    return found if edition == found.EDITION else None
