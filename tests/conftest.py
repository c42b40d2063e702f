"""What all tests share: property tests that give the same result everywhere, and a guest with a kernel of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("cardan", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("cardan")

LAUNCHER = Path(__file__).parents[1] / "packaging" / "ci" / "can_vm.py"
CANNOT_RUN_HERE = 77
GUEST_LIMIT_S = 200


class Guest:
    """What each check in the guest saw."""

    def __init__(self, seen: dict[str, Any]) -> None:
        self._seen = seen

    def __getitem__(self, check: str) -> dict[str, Any]:
        """What `check` saw; the test fails with the guest's traceback when it raised."""
        seen: dict[str, Any] = self._seen[check]
        if "failed" in seen:
            pytest.fail(f"in the guest:\n{seen['failed']}")
        return seen


@pytest.fixture(scope="session")
def boot_guest() -> Callable[[Path], Guest]:
    """Runs a script in a guest with Debian's kernel (QEMU); skips, with the reason, where that is not possible."""

    def boot(script: Path) -> Guest:
        command = [sys.executable, str(LAUNCHER), str(script)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GUEST_LIMIT_S, check=False)
        if done.returncode == CANNOT_RUN_HERE:
            pytest.skip(done.stderr.strip())
        if done.returncode != 0:
            pytest.fail(done.stderr)
        return Guest(json.loads(done.stdout))

    return boot
