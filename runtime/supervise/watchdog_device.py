"""A hardware watchdog (Linux watchdog API, watchdog-api.rst): it resets the computer when nobody feeds it."""

from __future__ import annotations

import fcntl
import os
from array import array
from collections.abc import Callable
from contextlib import suppress

from cardan.runtime.errors import DeviceError

WDIOC_SETTIMEOUT = 0xC0045706
"""_IOWR('W', 6, int) of linux/watchdog.h: seconds in, the seconds that the hardware made of it out."""
FEED = b"\0"
MAGIC_CLOSE = b"V"
"""Written before closing it tells the driver to disarm; without it the computer is reset when the time is over."""

SetTimeout = Callable[[int, int], int]


def set_timeout(descriptor: int, timeout_s: int) -> int:
    """Ask for a time-out; the one that the hardware took, in seconds. OSError when the driver cannot."""
    value = array("i", [timeout_s])
    fcntl.ioctl(descriptor, WDIOC_SETTIMEOUT, value, True)
    return value[0]


class WatchdogDevice:
    """An armed watchdog: opening arms it. `timeout_s` is what the hardware took, which may differ from the wish."""

    def __init__(self, path: str, timeout_s: int, set_timeout: SetTimeout = set_timeout) -> None:
        """DeviceError when the device cannot be opened or refuses the time-out; it is then not armed."""
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            hint = "may this user write to it, and does nobody else (systemd's RuntimeWatchdogSec) hold it?"
            raise DeviceError(f"cannot open the watchdog {path}: {error.strerror}", hint=hint) from error
        try:
            self.timeout_s = set_timeout(self._descriptor, timeout_s)
        except OSError as error:
            self.disarm()
            hint = "`wdctl` shows what it can do"
            raise DeviceError(f"{path} takes no time-out of {timeout_s} s: {error.strerror}", hint=hint) from error

    def feed(self) -> bool:
        """Begin its time anew; False when the device does not answer."""
        return self._write(FEED)

    def disarm(self) -> None:
        """Close it so that it does not bite (a driver with `nowayout` bites nevertheless). Call it once."""
        self._write(MAGIC_CLOSE)
        with suppress(OSError):
            os.close(self._descriptor)

    def _write(self, data: bytes) -> bool:
        try:
            return os.write(self._descriptor, data) == len(data)
        except OSError:
            return False
