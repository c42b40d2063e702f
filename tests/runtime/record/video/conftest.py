"""Encoders for the tests: one of ours that has every trouble, and the real ffmpeg where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.profile import VideoSettings

PATIENCE_S = 30.0


@pytest.fixture
def fake() -> Callable[[str], VideoSettings]:
    """Settings of a profile whose encoder has this trouble."""

    def settings(trouble: str = "") -> VideoSettings:
        script = Path(__file__).with_name("fake_encoder.py")
        return VideoSettings(command=[sys.executable, "-S", "-E", str(script), "{frame_bytes}", trouble])

    return settings


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Ask until the answer is yes; fails after half a minute."""

    def wait(condition: Callable[[], object]) -> None:
        clock = MonotonicClock()
        deadline_ns = clock.now_ns() + ns(PATIENCE_S)
        while not condition():
            assert clock.now_ns() < deadline_ns, "waited half a minute in vain"
            clock.sleep_until_ns(clock.now_ns() + ns(0.005))

    return wait
