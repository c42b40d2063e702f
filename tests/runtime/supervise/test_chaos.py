"""A short round of the chaos bench: some forty random kills of nodes, and the ends of a few runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHES = Path(__file__).resolve().parents[3] / "benches"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_random_kills_are_recovered_or_end_the_run_as_declared() -> None:
    command = [sys.executable, str(BENCHES / "chaos.py"), "--kills", "40", "--seed", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    rows = json.loads(done.stdout)["rows"]
    assert [row["name"] for row in rows if not row["ok"] and row["unit"] != "s"] == [], done.stderr
    assert next(row["value"] for row in rows if row["name"] == "recovered") > 20
