"""One run of the guest for all tests here; they skip, with the reason, where it cannot run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "can_vm: boots Debian's kernel in QEMU (10-60 s)")


@pytest.fixture(scope="session")
def guest(boot_guest: Any) -> Any:
    """What each check saw."""
    return boot_guest(Path(__file__).parent / "guest.py")
