"""Wishes for processors that wake up fast: a file that takes them, and the kernel's own where this user may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cardan.runtime.supervise.wakeup_latency import DEVICE, WakeupLatency, hold_or_none


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "cpu_dma_latency"
    path.write_bytes((2_000_000_000).to_bytes(4, "little"))
    return path


def test_a_wish_is_written_and_read_back(device: Path) -> None:
    latency, error = hold_or_none(20, device)
    assert latency is not None
    assert (latency.holds_us, error) == (20, "")
    assert device.read_bytes() == bytes([20, 0, 0, 0])
    latency.close()


def test_without_a_wish_nothing_is_opened(tmp_path: Path) -> None:
    assert hold_or_none(None, tmp_path / "absent") == (None, "")


def test_a_device_that_cannot_be_opened_is_said_in_one_line(tmp_path: Path) -> None:
    latency, error = hold_or_none(20, tmp_path / "absent")
    assert latency is None
    assert error.startswith(f"cannot open {tmp_path}/absent: No such file or directory; hint: ")


def test_the_kernel_holds_the_wish_until_it_is_taken_back() -> None:
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"this user may not open {DEVICE}")
    first = WakeupLatency(70)
    second = WakeupLatency(30)
    assert second.holds_us <= 30
    second.close()
    third = WakeupLatency(50)
    assert 30 < third.holds_us <= 50 or third.holds_us == second.holds_us  # somebody else may wish for less
    third.close()
    first.close()
