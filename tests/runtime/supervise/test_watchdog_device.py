"""The hardware watchdog against a FIFO (bytes) and an injected ioctl (time-out); no hardware has run this."""

from __future__ import annotations

import fcntl
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.errors import DeviceError
from cardan.runtime.supervise.watchdog_device import WDIOC_SETTIMEOUT, WatchdogDevice, set_timeout


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[str, int]]:
    path = str(tmp_path / "watchdog0")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def test_it_is_fed_with_anything_but_the_magic_letter_and_closed_with_it(fifo: tuple[str, int]) -> None:
    path, reader = fifo
    device = WatchdogDevice(path, 10, lambda _, timeout_s: timeout_s)
    assert device.feed()
    assert b"V" not in os.read(reader, 16)
    device.disarm()
    assert os.read(reader, 16) == b"V"
    assert os.read(reader, 16) == b""


def test_the_time_out_is_the_one_that_the_hardware_took(fifo: tuple[str, int]) -> None:
    asked: list[int] = []

    def rounding(_: int, timeout_s: int) -> int:
        asked.append(timeout_s)
        return 16

    device = WatchdogDevice(fifo[0], 10, rounding)
    assert (asked, device.timeout_s) == ([10], 16)
    device.disarm()


def test_the_ioctl_passes_seconds_and_reads_back_what_the_driver_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    def driver(descriptor: int, request: int, value: array[int], mutate: bool) -> int:
        assert (descriptor, request, value[0], mutate) == (7, WDIOC_SETTIMEOUT, 10, True)
        value[0] = 12
        return 0

    monkeypatch.setattr(fcntl, "ioctl", driver)
    assert set_timeout(7, 10) == 12


def test_the_request_number_is_that_of_the_kernel_header() -> None:
    read_write, size, kind, number = 3, array("i").itemsize, ord("W"), 6
    assert read_write << 30 | size << 16 | kind << 8 | number == WDIOC_SETTIMEOUT


def test_a_device_that_takes_no_time_out_is_disarmed_and_refused(fifo: tuple[str, int]) -> None:
    path, reader = fifo
    with pytest.raises(DeviceError, match="takes no time-out of 10 s"):  # the real ioctl: a FIFO has none
        WatchdogDevice(path, 10)
    assert os.read(reader, 16) == b"V"


def test_a_device_that_is_absent_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"watchdog0: No such file(?s:.*)RuntimeWatchdogSec"):
        WatchdogDevice(str(tmp_path / "watchdog0"), 10)


def test_a_device_that_does_not_answer_is_not_fed(fifo: tuple[str, int]) -> None:
    path, reader = fifo
    device = WatchdogDevice(path, 10, lambda _, timeout_s: timeout_s)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    while device.feed():
        continue
    assert not device.feed()
    device.disarm()
