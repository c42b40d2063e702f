"""What is on a bus, by identifier: how often, the newest data, and which bytes and signals change."""

from __future__ import annotations

from dataclasses import dataclass, field

from cardan.drivers.can.candump import LoggedFrame
from cardan.firmware_bridge.frame_reader import ReadFrame
from cardan.runtime.clock import NS_PER_S

MARKED_NS = NS_PER_S
"""How long a change stays marked."""
RATE_OVER_NS = 2 * NS_PER_S
"""Rates are those of the newest so long."""
Key = tuple[str, int, bool]
"""Channel, identifier, and whether it is one of 29 bits."""


@dataclass
class Row:
    """One identifier on one channel."""

    key: Key
    count: int = 0
    data: bytes = b""
    first_ns: int = 0
    newest_ns: int = 0
    read: ReadFrame | None = None
    """The newest frame as the DBC reads it."""
    wrong: int = 0
    """Frames with a bad verdict."""
    byte_changes: dict[int, int] = field(default_factory=dict)
    """Place of a byte -> when it changed last."""
    signal_changes: dict[str, int] = field(default_factory=dict)
    _window_count: int = 0
    _window_ns: int = 0
    _rate_hz: float | None = None

    def see(self, logged: LoggedFrame, read: ReadFrame | None) -> None:
        """Take the next frame."""
        stamp_ns, data = logged.frame.stamp_ns, logged.frame.data
        if self.count:
            self._note_changes(data, read, stamp_ns)
            self._window_count += 1
        else:
            self.first_ns = self._window_ns = stamp_ns
        self.count += 1
        self.data, self.read, self.newest_ns = data, read, stamp_ns
        self.wrong += read is not None and read.wrong
        if stamp_ns - self._window_ns >= RATE_OVER_NS:
            self._rate_hz = self._window_count * NS_PER_S / (stamp_ns - self._window_ns)
            self._window_ns, self._window_count = stamp_ns, 0

    def _note_changes(self, data: bytes, read: ReadFrame | None, stamp_ns: int) -> None:
        for place in range(max(len(data), len(self.data))):
            if data[place : place + 1] != self.data[place : place + 1]:
                self.byte_changes[place] = stamp_ns
        if read is None or self.read is None:
            return
        before = {signal.name: signal.value for signal in self.read.signals}
        for signal in read.signals:
            if before.get(signal.name) != signal.value:
                self.signal_changes[signal.name] = stamp_ns

    @property
    def rate_hz(self) -> float | None:
        """Of the newest two seconds; over all of it while it is shorter. None before a second frame."""
        if self._rate_hz is not None:
            return self._rate_hz
        span_ns = self.newest_ns - self.first_ns
        return (self.count - 1) * NS_PER_S / span_ns if span_ns > 0 else None

    def changed_bytes(self, now_ns: int | None) -> list[int]:
        """Places that changed within MARKED_NS before `now_ns`; without it, that ever changed."""
        return sorted(at for at, seen in self.byte_changes.items() if now_ns is None or now_ns - seen < MARKED_NS)

    def changed_signals(self, now_ns: int | None) -> set[str]:
        """Names of the signals, likewise."""
        return {name for name, seen in self.signal_changes.items() if now_ns is None or now_ns - seen < MARKED_NS}
