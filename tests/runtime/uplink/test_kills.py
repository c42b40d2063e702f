"""A short round of benches/uplink_kills.py: outbox, uplink and producers killed, half of all exchanges cut."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHES = Path(__file__).resolve().parents[3] / "benches"
KILLS = 40
PROGRAM = """
import json, sys, uplink_kills
print(json.dumps(uplink_kills.run(int(sys.argv[1]), 11)._asdict()))
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_kills_and_cuts_lose_nothing_and_double_nothing(azurite: Any) -> None:
    """The store is one of its own; `azurite` says why there can be none."""
    command = [sys.executable, "-c", PROGRAM, str(KILLS)]
    done = subprocess.run(command, cwd=BENCHES, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: found[name] for name in ("lost", "duplicates", "gaps", "inexact")} == dict.fromkeys(
        ("lost", "duplicates", "gaps", "inexact"), 0
    )
    assert found["kills"] == KILLS and found["acknowledged"] > 500 and found["cut"] > 50
