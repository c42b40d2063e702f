"""A CAN channel on any interface of python-can (slcan, pcan, kvaser, ...): the only module that imports it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from cardan.drivers.can.channel import ChannelCounters, ReceptionClock, check_frame
from cardan.runtime.clock import Clock, MonotonicClock, ns
from cardan.runtime.errors import ConfigError, DeviceError, near_names
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

if TYPE_CHECKING:
    import can

_KERNEL = ', or the kernel\'s own driver and interface = "socketcan"'
_SERIAL = 'pyserial (pip install "python-can[serial]")'
NEEDS = {
    "canalystii": 'its library (pip install "python-can[canalystii]")',
    "cantact": 'its library (pip install "python-can[cantact]")',
    "gs_usb": f'pyusb and gs_usb (pip install "python-can[gs-usb]"){_KERNEL}',
    "ixxat": "the vendor's VCI driver",
    "kvaser": f"Kvaser's CANlib (libcanlib.so){_KERNEL}",
    "neousys": "the vendor's WDT_DIO library",
    "neovi": 'python-ics (pip install "python-can[neovi]")',
    "nican": "the vendor's NI-CAN driver",
    "nixnet": 'the vendor\'s NI-XNET driver and nixnet (pip install "python-can[nixnet]")',
    "pcan": f"PEAK's PCAN-Basic (libpcanbasic.so){_KERNEL}",
    "robotell": _SERIAL,
    "seeedstudio": _SERIAL,
    "serial": _SERIAL,
    "slcan": _SERIAL,
    "vector": "the vendor's XL driver",
}
"""Interface of python-can -> what has to be installed beside it."""


class PythonCanChannel:
    """A channel on any interface of python-can: virtual, slcan, pcan, kvaser, ..."""

    def __init__(self, settings: CanChannelSettings, clock: Clock | None = None) -> None:
        self.name = settings.name
        self.counters = ChannelCounters()
        self._fd_channel = settings.fd
        self._clock = clock or MonotonicClock()
        self._reception = ReceptionClock(self._clock.now_ns())
        self._can = _python_can(settings)
        self._bus: can.BusABC | None = _open_bus(self._can, settings)

    def send(self, frame_id: int, data: bytes, *, extended: bool = False, fd: bool = False, error: bool = False) -> int:
        """See `CanChannel.send`."""
        check_frame(self.name, frame_id, data, extended=extended or error, fd=fd, fd_channel=self._fd_channel)
        message = self._can.Message(
            arbitration_id=frame_id,
            data=data,
            is_extended_id=extended,
            is_error_frame=error,
            is_fd=fd,
            bitrate_switch=fd,
        )
        stamp_ns = self._clock.now_ns()
        try:
            self._open_bus().send(message, timeout=0)
        except (self._can.CanError, OSError) as failure:
            raise self._send_error(failure) from failure
        self.counters.sent += 1
        return stamp_ns

    def _send_error(self, failure: Exception) -> DeviceError:
        if "buffer full" in str(failure).lower() or isinstance(failure, self._can.CanTimeoutError):
            self.counters.send_dropped += 1
            hint = "no other node acknowledges, the bus is off, or more is sent than the bit rate carries"
            return DeviceError(f"channel {self.name}: the transmit queue is full", hint=hint)
        self.counters.send_failures += 1
        return DeviceError(f"channel {self.name}: cannot send: {failure}")

    def receive_batch(self, limit: int = 256) -> list[CanFrame]:
        """See `CanChannel.receive_batch`."""
        bus = self._open_bus()
        self._reception.begin(self._clock.now_ns(), self._clock.wall_ns())
        frames: list[CanFrame] = []
        while len(frames) < limit:
            try:
                message = bus.recv(timeout=0)
            except (self._can.CanError, OSError) as failure:
                raise DeviceError(f"channel {self.name} is gone: {failure}") from failure
            if message is None:
                self._reception.drained()
                break
            self._convert(message, frames)
        self.counters.received += len(frames)
        return frames

    def _convert(self, message: can.Message, frames: list[CanFrame]) -> None:
        if message.is_remote_frame or (message.is_fd and not self._fd_channel):
            self.counters.ignored += 1
            return
        stamp_ns = self._reception.stamp_ns(ns(message.timestamp))
        frames.append(
            CanFrame(
                self.name,
                message.arbitration_id,
                bytes(message.data),
                stamp_ns,
                message.is_extended_id,
                message.is_fd,
                message.is_error_frame,
            )
        )

    def _open_bus(self) -> can.BusABC:
        if self._bus is None:
            raise DeviceError(f"channel {self.name} is closed")
        return self._bus

    def fileno(self) -> int:
        """See `CanChannel.fileno`."""
        with contextlib.suppress(NotImplementedError):
            return self._bus.fileno() if self._bus is not None else -1
        return -1

    def close(self) -> None:
        """See `CanChannel.close`."""
        bus, self._bus = self._bus, None
        if bus is not None:
            with contextlib.suppress(self._can.CanError, OSError):  # a device that is gone has nothing left to release
                bus.shutdown()


def _python_can(settings: CanChannelSettings) -> Any:
    try:
        import can
    except ImportError as error:
        raise DeviceError(
            f'channel {settings.name}: interface "{settings.interface}" needs python-can, which is not installed',
            hint='pip install "cardan[can]"',
        ) from error
    return can


def _open_bus(can_library: Any, settings: CanChannelSettings) -> can.BusABC:
    if settings.interface not in can_library.VALID_INTERFACES:
        known = sorted({"socketcan", "udp_multicast", *can_library.VALID_INTERFACES})
        raise ConfigError(
            f'channel {settings.name}: neither cardan nor python-can has an interface "{settings.interface}"',
            hint=near_names(settings.interface, known),
        )
    options: dict[str, Any] = {"fd": True} if settings.fd else {}
    try:
        bus: can.BusABC = can_library.Bus(
            channel=settings.channel,
            interface=settings.interface,
            ignore_config=True,  # a ~/.canrc must not change what the profile says
            bitrate=settings.bitrate,
            **{**options, **settings.options},
        )
    except Exception as error:  # vendor libraries that are absent let NameError, TypeError and others through
        raise _opening_error(settings, error) from error
    return bus


def _opening_error(settings: CanChannelSettings, error: Exception) -> DeviceError:
    said = " ".join(str(error).split()) or type(error).__name__
    where = f"cannot open channel {settings.name} ({settings.interface} {settings.channel})"
    if isinstance(error, TypeError):
        return DeviceError(
            f"{where}: {said}",
            hint=f"give what the interface asks for: options = {{ ... }} in [can.{settings.name}] of the profile",
        )
    need = NEEDS.get(settings.interface)
    ask = "is the adapter plugged in, its driver there?"
    return DeviceError(f"{where}: {said}", hint=f"{settings.interface} needs {need}; {ask}" if need else ask)
