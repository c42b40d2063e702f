"""One run of the guest for all tests here; they skip, with the reason, where it cannot run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def limits(boot_guest: Any) -> dict[str, Any]:
    """What the run with limits saw."""
    seen: dict[str, Any] = boot_guest(Path(__file__).parent / "guest.py")["limits"]
    return seen
