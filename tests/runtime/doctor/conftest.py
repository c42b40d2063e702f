"""A computer that is made of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.doctor.check import Subject
from cardan.runtime.graph import load_plan
from cardan.runtime.profile import Profile


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """The reference vehicle on a computer that has no file yet."""
    return Subject(
        profile=Profile(name="test"),
        plan=load_plan(),
        findings=[],
        data_dir=tmp_path / "data",
        clock=MonotonicClock(),
        root=tmp_path / "root",
    )
