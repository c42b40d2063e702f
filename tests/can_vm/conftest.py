"""One run of the guest for all tests here; they skip, with the reason, where it cannot run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LAUNCHER = HERE.parents[1] / "packaging" / "ci" / "can_vm.py"
SKIPPED = 77
LIMIT_S = 200


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "can_vm: needs the kernel's own CAN; boots Debian's kernel in QEMU (10-60 s)")


class Guest:
    """What each check saw."""

    def __init__(self, seen: dict[str, Any]) -> None:
        self._seen = seen

    def __getitem__(self, check: str) -> dict[str, Any]:
        """What `check` saw; the test fails with the guest's traceback when it raised."""
        seen: dict[str, Any] = self._seen[check]
        if "failed" in seen:
            pytest.fail(f"in the guest:\n{seen['failed']}")
        return seen


@pytest.fixture(scope="session")
def guest() -> Guest:
    command = [sys.executable, str(LAUNCHER), str(HERE / "guest.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode == SKIPPED:
        pytest.skip(done.stderr.strip())
    if done.returncode != 0:
        pytest.fail(done.stderr)
    return Guest(json.loads(done.stdout))
