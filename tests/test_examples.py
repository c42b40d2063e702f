"""The examples work as their own README says: from inside their folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.mark.slow
def test_a_node_of_ones_own_passes_its_own_test() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    folder = EXAMPLES / "own_node"
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=50)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_node_of_ones_own_is_short() -> None:
    lines = (EXAMPLES / "own_node" / "drivers" / "load_meter.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 40
