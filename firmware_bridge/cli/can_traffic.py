"""What a stretch of traffic on one channel says: rates, load, error frames, and how the DBC judges its frames."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cardan.drivers.can.candump import LoggedFrame
from cardan.drivers.can.error_frames import ErrorReport, decode_error_frame
from cardan.firmware_bridge.frame_reader import OK, Expected, FrameReader, Identifier
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.messages import CanFrame

MISSING_PERIODS = 3
"""Periods that a message must have had time for before its absence means something."""
SLOW_BELOW = 0.5
"""A message with fewer than so many of its frames is slow. A busy bench computer delays frames, but loses none."""
FD_DATA_BITRATE = 2_000_000
"""Assumed for the fast part of CAN FD frames where nothing tells it."""


@dataclass
class Traffic:
    """Frames of one channel, and what they add up to."""

    frames: int = 0
    remote: int = 0
    first_ns: int = 0
    newest_ns: int = 0
    slow_bits: int = 0
    """At the bit rate of the bus, stuffing bits included as if all could be needed."""
    fast_bits: int = 0
    """At the data bit rate of CAN FD."""
    error_frames: int = 0
    newest_error: ErrorReport | None = None
    counts: Counter[Identifier] = field(default_factory=Counter)
    checked: int = 0
    """Frames whose checksum or counter could be judged."""
    wrong: Counter[str] = field(default_factory=Counter)
    """`MESSAGE: verdict` -> how often."""

    def see(self, logged: LoggedFrame, reader: FrameReader | None) -> None:
        """Take the next frame."""
        frame = logged.frame
        self.first_ns, self.newest_ns = self.first_ns or frame.stamp_ns, frame.stamp_ns
        if frame.error:
            self.error_frames += 1
            self.newest_error = decode_error_frame(frame.id, frame.data)
            return
        self.frames += 1
        self.remote += logged.remote
        self.counts[(frame.id, frame.extended)] += 1
        slow, fast = frame_bits(frame)
        self.slow_bits, self.fast_bits = self.slow_bits + slow, self.fast_bits + fast
        if reader is None or logged.remote:
            return
        definition = reader.definition_or_none((frame.id, frame.extended))
        if definition is not None:
            self.judged(definition.codec.name, definition.judge(frame.data))

    def judged(self, message: str, verdict: str, times: int = 1) -> None:
        """Take what the DBC says of frames that were counted."""
        if verdict:
            self.checked += times
            if verdict != OK:
                self.wrong[f"{message}: {verdict}"] += times

    def load(self, duration_s: float, bitrate: int, data_bitrate: int | None = None) -> float | None:
        """Share of the time that the bus is taken, at most; None without any time."""
        if duration_s <= 0:
            return None
        busy_s = self.slow_bits / bitrate + self.fast_bits / (data_bitrate or FD_DATA_BITRATE)
        return busy_s / duration_s

    @property
    def span_s(self) -> float:
        """From the first to the newest frame."""
        return (self.newest_ns - self.first_ns) / NS_PER_S


def frame_bits(frame: CanFrame) -> tuple[int, int]:
    """Bits of a frame with the space after it, and how many more of it go at the data bit rate (ISO 11898-1).

    Stuffing is counted as the worst case, one bit for each four, so that a load made of these is never too low.
    """
    head = 54 if frame.extended else 34
    if not frame.fd:
        stuffed = head + 8 * len(frame.data)
        return stuffed + 13 + (stuffed - 1) // 4, 0
    slow = 36 if frame.extended else 17
    checksum = 17 if len(frame.data) <= 16 else 21
    data = 5 + 8 * len(frame.data)
    return slow + (slow - 1) // 4 + 13, data + data // 4 + checksum + 4 + (checksum + 4) // 4


def missing_and_slow(traffic: Traffic, expected: list[Expected], duration_s: float) -> tuple[list[str], list[str]]:
    """Messages with a period that did not come at all, and those that came far too seldom."""
    missing, slow = [], []
    for item in expected:
        if not item.period_s or duration_s < MISSING_PERIODS * item.period_s:
            continue
        count = traffic.counts[(item.id, item.extended)]
        if not count:
            missing.append(item.message)
        elif count < SLOW_BELOW * duration_s / item.period_s:
            slow.append(item.message)
    return missing, slow
