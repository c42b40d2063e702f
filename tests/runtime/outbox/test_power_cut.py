"""Power cuts, for real: ext4 on a disk that remembers every write, put together as it may be after a cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "benches" / "power_cut.py"
CANNOT_RUN_HERE = 77

pytestmark = [pytest.mark.slow, pytest.mark.timeout(110)]


def cut(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), *arguments]
    done = subprocess.run(command, cwd=SCRIPT.parent, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode == CANNOT_RUN_HERE:
        pytest.skip(done.stderr.strip())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_cut_loses_what_was_acknowledged_or_needs_a_person() -> None:
    found = cut("--cuts", "10", "--rounds", "100")
    assert found["wrong"] == []
    assert found["writes"] > 300 and found["cuts_during_recovery"] > 0


def test_the_cuts_would_find_a_promise_that_is_broken() -> None:
    found = cut("--cuts", "4", "--rounds", "40", "--no-sync")
    assert any("acknowledged records lost" in what for what in found["wrong"])
