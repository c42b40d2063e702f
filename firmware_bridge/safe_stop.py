"""The safe stop: a declared sequence of decelerations, from the first doubt to standstill."""

from __future__ import annotations

from dataclasses import dataclass

STANDSTILL_MPS = 0.1
"""Below this speed the vehicle counts as standing: wheel speed sensors do not resolve less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One part of the sequence."""

    name: str
    accel_mps2: float
    """Asked acceleration; negative slows down."""
    lasts_s: float
    """How long it lasts; the last phase lasts until standstill, and then this long."""


SEQUENCE = (
    Phase(name="slow-down", accel_mps2=-1.0, lasts_s=2.0),
    Phase(name="stop", accel_mps2=-2.5, lasts_s=1.0),
)
"""A comfortable beginning for the traffic behind (-1.0 m/s2), then a firm stop (-2.5 m/s2), both as in Autoware's
minimal-risk manoeuvres. Steering follows control as long as its commands are usable, and is held otherwise."""


class SafeStop:
    """One run through a sequence. Pure: it gets the time and the speed."""

    def __init__(self, sequence: tuple[Phase, ...], now_ns: int, speed_mps: float) -> None:
        self._sequence = sequence
        self._started_ns = now_ns
        self._standing_ns: int | None = None
        # When the speed cannot be believed, the stop is over after the time that it takes at most, and half more.
        slowest = max(phase.accel_mps2 for phase in sequence)
        self._longest_ns = round(1.5e9 * (abs(speed_mps) / -slowest + sequence[-1].lasts_s))

    def phase(self, now_ns: int) -> Phase:
        """The phase that holds now."""
        elapsed_s = (now_ns - self._started_ns) / 1e9
        for phase in self._sequence[:-1]:
            if elapsed_s < phase.lasts_s:
                return phase
            elapsed_s -= phase.lasts_s
        return self._sequence[-1]

    def complete(self, now_ns: int, speed_mps: float | None) -> bool:
        """True when the vehicle has stood for the time of the last phase. speed_mps: None = not to be believed."""
        if speed_mps is None:
            return now_ns - self._started_ns >= self._longest_ns
        if abs(speed_mps) >= STANDSTILL_MPS:
            self._standing_ns = None
            return False
        if self._standing_ns is None:
            self._standing_ns = now_ns
        return now_ns - self._standing_ns >= round(self._sequence[-1].lasts_s * 1e9)


def check_sequence(sequence: tuple[Phase, ...]) -> str:
    """What is wrong with a sequence that a manifest declares; "" when nothing is."""
    if not sequence:
        return "a safe stop needs at least one phase"
    for phase in sequence:
        if not -3.5 <= phase.accel_mps2 < 0:
            return f'phase "{phase.name}": accel_mps2 is {phase.accel_mps2:g}, expected -3.5 to below 0'
        if not 0 <= phase.lasts_s < 60:
            return f'phase "{phase.name}": lasts_s is {phase.lasts_s:g}, expected 0 to 60'
    return ""
