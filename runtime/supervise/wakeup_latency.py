"""Keeps processors out of sleeps that are slow to wake up from while a run lasts (PM QoS, /dev/cpu_dma_latency).

The kernel takes the smallest wish of all programs, and forgets one when its descriptor is closed, however that comes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cardan.runtime.errors import DeviceError

DEVICE = Path("/dev/cpu_dma_latency")
NUMBER_BYTES = 4


class WakeupLatency:
    """A wish that holds until `close()`. `holds_us` is what the kernel says then: at most what was wished."""

    def __init__(self, wished_us: int, device: Path = DEVICE) -> None:
        """DeviceError when the device cannot be opened or does not take the wish."""
        hint = "the service's udev rule gives the device to its user; without it that takes root"
        try:
            self._descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceError(f"cannot open {device}: {error.strerror}", hint=hint) from error
        try:
            os.write(self._descriptor, wished_us.to_bytes(NUMBER_BYTES, "little"))
            self.holds_us = int.from_bytes(os.pread(self._descriptor, NUMBER_BYTES, 0), "little")
        except OSError as error:
            self.close()
            raise DeviceError(f"{device} does not take {wished_us} us: {error.strerror}", hint=hint) from error

    def close(self) -> None:
        """Take the wish back. Call it once."""
        with suppress(OSError):
            os.close(self._descriptor)


def hold_or_none(wished_us: int | None, device: Path = DEVICE) -> tuple[WakeupLatency | None, str]:
    """Hold what the profile wishes; the wish and why it does not hold, both empty when there is none."""
    if wished_us is None:
        return None, ""
    try:
        return WakeupLatency(wished_us, device), ""
    except DeviceError as error:
        return None, str(error).replace("\n  ", "; ")
