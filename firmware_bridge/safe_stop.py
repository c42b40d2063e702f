"""The safe stop: declared sequences, one for each set of actuators that still answer, down to letting go of all.

A vehicle declares its sequences from the best to the last. A safe stop begins with the first one whose actuators all
answer, and moves to a later one when an actuator of its own falls away; it never moves back. What a sequence does not
use is released at once, and what was released does not come back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

STANDSTILL_MPS = 0.1
"""Below this speed the vehicle counts as standing: wheel speed sensors do not resolve less."""
STRONGEST_MPS2 = -3.5
"""ISO 15622: strongest automatic deceleration."""
LONGEST_PHASE_S = 60.0
SPEED_QUANTITY, LANE_QUANTITY = "acceleration", "steering_angle"
"""The quantities of the envelope that a sequence may use: the first slows down, the second keeps the lane."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One part of a sequence."""

    name: str
    accel_mps2: float
    """Asked acceleration; negative slows down. 0 in a sequence that does not use the acceleration."""
    lasts_s: float
    """How long it lasts; the last phase of a sequence that slows down lasts until standstill, and then this long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSequence:
    """What to do while these actuators answer. Without phases: let go of everything."""

    name: str
    uses: tuple[str, ...]
    """Quantities; see `lets_go_of`."""
    phases: tuple[Phase, ...]

    @property
    def slows_down(self) -> bool:
        return SPEED_QUANTITY in self.uses

    def lets_go_of(self, quantity: str) -> bool:
        """True for the actuators that are released: of speed and lane those not used; of all others when none is."""
        return quantity not in self.uses and (quantity in (SPEED_QUANTITY, LANE_QUANTITY) or not self.uses)


SEQUENCES = (
    StopSequence(
        name="stop-in-lane",
        uses=(LANE_QUANTITY, SPEED_QUANTITY),
        phases=(
            Phase(name="slow-down", accel_mps2=-1.0, lasts_s=2.0),
            Phase(name="stop", accel_mps2=-2.5, lasts_s=1.0),
        ),
    ),
    StopSequence(name="stop", uses=(SPEED_QUANTITY,), phases=(Phase(name="stop", accel_mps2=-2.5, lasts_s=1.0),)),
    StopSequence(
        name="keep-lane", uses=(LANE_QUANTITY,), phases=(Phase(name="keep-lane", accel_mps2=0.0, lasts_s=10.0),)
    ),
    StopSequence(name="release", uses=(), phases=()),
)
"""A comfortable beginning for the traffic behind (-1.0 m/s2), then a firm stop (-2.5 m/s2), both as in Autoware's
minimal-risk manoeuvres. Without steering the firm stop begins at once: the vehicle leaves its lane the sooner, the
longer it rolls. Without brakes the lane is kept for as long as a driver is given to take over (UN R157: 10 s)."""


class SafeStop:
    """One run through the sequences. Pure: it gets the time, the speed, and which quantities answer."""

    def __init__(self, sequences: tuple[StopSequence, ...], answering: Collection[str], now_ns: int, speed_mps: float):
        self._sequences = sequences
        self._at = 0
        self._held = set(answering)
        """Quantities whose actuators answer and have not been released."""
        self._begin(now_ns, speed_mps)
        self.choose(answering, now_ns, speed_mps)

    @property
    def sequence(self) -> StopSequence:
        """The sequence that runs."""
        return self._sequences[self._at]

    def choose(self, answering: Collection[str], now_ns: int, speed_mps: float) -> None:
        """Move to the first sequence, from the present one on, whose actuators all answer; the last one needs none."""
        before = self._at
        self._held &= set(answering)
        while not set(self.sequence.uses) <= self._held:
            self._at += 1
        self._held &= set(self.sequence.uses)
        if self._at != before:
            self._begin(now_ns, speed_mps)

    def _begin(self, now_ns: int, speed_mps: float) -> None:
        self._started_ns = now_ns
        self._standing_ns: int | None = None
        phases = self.sequence.phases
        if self.sequence.slows_down:
            # When the speed cannot be believed, the stop is over after the time that it takes at most, and half more.
            slowest_mps2 = max(phase.accel_mps2 for phase in phases)
            longest_s = 1.5 * (abs(speed_mps) / -slowest_mps2 + phases[-1].lasts_s)
        else:
            longest_s = sum(phase.lasts_s for phase in phases)
        self._longest_ns = round(longest_s * 1e9)

    def accel_mps2(self, now_ns: int) -> float | None:
        """What the phase of this moment asks; None while the sequence does not use the acceleration."""
        if not self.sequence.slows_down:
            return None
        elapsed_s = (now_ns - self._started_ns) / 1e9
        for phase in self.sequence.phases[:-1]:
            if elapsed_s < phase.lasts_s:
                return phase.accel_mps2
            elapsed_s -= phase.lasts_s
        return self.sequence.phases[-1].accel_mps2

    def ended(self, now_ns: int, speed_mps: float | None) -> str:
        """`standstill` when the vehicle has stood for the time of the last phase, or `SEQUENCE-over` when a sequence
        that cannot tell has lasted long enough; "" while it runs. speed_mps: None = not to be believed.
        """
        if speed_mps is None or not self.sequence.slows_down:
            return f"{self.sequence.name}-over" if now_ns - self._started_ns >= self._longest_ns else ""
        if abs(speed_mps) >= STANDSTILL_MPS:
            self._standing_ns = None
            return ""
        if self._standing_ns is None:
            self._standing_ns = now_ns
        return "standstill" if now_ns - self._standing_ns >= round(self.sequence.phases[-1].lasts_s * 1e9) else ""


def with_release(sequences: tuple[StopSequence, ...]) -> tuple[StopSequence, ...]:
    """The sequences, and at the end the one that needs no actuator, unless it is there."""
    return sequences if any(not item.uses for item in sequences) else (*sequences, SEQUENCES[-1])


def check_sequences(sequences: tuple[StopSequence, ...]) -> str:
    """What is wrong with the sequences that a manifest declares; "" when nothing is."""
    return next((wrong for item in sequences if (wrong := _check(item))), "")


def _check(sequence: StopSequence) -> str:
    where = f'safe stop "{sequence.name}"'
    unknown = set(sequence.uses) - {SPEED_QUANTITY, LANE_QUANTITY}
    if unknown:
        return f'{where} uses "{min(unknown)}", expected {SPEED_QUANTITY} or {LANE_QUANTITY}'
    if sequence.uses and not sequence.phases:
        return f"{where} needs at least one phase"
    for phase in sequence.phases:
        text = f'{where}, phase "{phase.name}": accel_mps2 is {phase.accel_mps2:g}, expected'
        if sequence.slows_down and not STRONGEST_MPS2 <= phase.accel_mps2 < 0:
            return f"{text} {STRONGEST_MPS2:g} to below 0"
        if not sequence.slows_down and phase.accel_mps2 != 0:
            return f"{text} 0: it does not use the acceleration"
        if not 0 <= phase.lasts_s < LONGEST_PHASE_S:
            return f'{where}, phase "{phase.name}": lasts_s is {phase.lasts_s:g}, expected 0 to {LONGEST_PHASE_S:g}'
    return ""
