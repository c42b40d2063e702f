"""Whatever control sends, the bytes on the bus stay inside the envelope: judged by cantools and our own arithmetic.

The judge knows the limits as numbers of its own and the frames as cantools decodes them; it shares no code with the
guard. CARDAN_FUZZ_COMMANDS sets how many commands are tried (20 000 without it).
"""

from __future__ import annotations

import csv
import math
import os
import random
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import cantools.database
import pytest

from cardan.firmware_bridge.engage import State
from cardan.firmware_bridge.guard import Decision
from cardan.firmware_bridge.testing import GuardBench
from cardan.firmware_bridge.vehicle_map import reference_dbc_path

COMMANDS = int(os.environ.get("CARDAN_FUZZ_COMMANDS", "20000"))
WHEELBASE_M, PERIOD_S = 2.578, 0.01
HOSTILE: tuple[object, ...] = (
    math.nan,
    math.inf,
    -math.inf,
    None,
    "0.1",
    b"",
    True,
    10**400,
    5e-324,
    -0.0,
    1e308,
    -1e308,
    [],
    {},
)


@dataclass
class Judge:
    """Decodes every frame by itself and holds it against the limits."""

    frames: int = 0
    enabled: int = 0
    steering: deque[float] = field(default_factory=lambda: deque(maxlen=25))
    accel: deque[float] = field(default_factory=lambda: deque(maxlen=25))
    counters: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        database = cantools.database.load_file(reference_dbc_path())
        assert isinstance(database, cantools.database.can.Database)
        self.database = database

    def look(self, decision: Decision, speed_mps: float, measured: dict[str, float]) -> None:
        assert [frame.id for frame in decision.frames] in ([], [288, 289, 290])
        if not decision.frames:
            self.steering.clear()
            self.accel.clear()
        for frame in decision.frames:
            self.frames += 1
            said = self.database.decode_message(frame.id, frame.data, decode_choices=False)
            assert isinstance(said, dict)
            counter = int(said["COUNTER"])  # type: ignore[arg-type] # a number: choices are off
            assert self.counters.get(frame.id, counter) == counter
            self.counters[frame.id] = (counter + 1) % 256
            if frame.id == 288:
                self._steering(float(said["ROAD_WHEEL_ANGLE"]), bool(said["ENABLE"]), speed_mps, measured)  # type: ignore[arg-type]
            if frame.id == 289:
                self._accel(float(said["ACCELERATION"]), bool(said["ENABLE"]), measured)  # type: ignore[arg-type]

    def _steering(self, value: float, enabled: bool, speed_mps: float, measured: dict[str, float]) -> None:
        assert -0.5 - 1e-9 <= value <= 0.5 + 1e-9
        if not enabled:
            self.steering.clear()
            return
        self.enabled += 1
        if not self.steering:
            self.steering.append(min(0.5, max(-0.5, measured["steering_rad"])))
        last = self.steering[-1]
        slack = 2.1e-6 if len(self.steering) == 1 else 1e-9  # the measured start is no step of the message
        assert abs(value - last) <= 0.6 * PERIOD_S + slack
        assert max(*self.steering, value) - min(*self.steering, value) <= 0.1 + slack
        jerk = abs(math.tan(value) - math.tan(last)) * speed_mps**2 / WHEELBASE_M / PERIOD_S
        assert jerk <= 5.0 + slack * speed_mps**2 / WHEELBASE_M / PERIOD_S
        lateral = abs(math.tan(value)) * speed_mps**2 / WHEELBASE_M
        inside = lateral <= 3.0 + 1e-6 and abs(value) <= self._largest(speed_mps) + 1e-9
        assert inside or abs(value) <= abs(last) + slack
        self.steering.append(value)

    def _accel(self, value: float, enabled: bool, measured: dict[str, float]) -> None:
        assert -3.5 - 1e-9 <= value <= 2.0 + 1e-9
        if not enabled:
            self.accel.clear()
            return
        if not self.accel:
            self.accel.append(min(2.0, max(-3.5, measured["accel_mps2"])))
        slack = 5.1e-4 if len(self.accel) == 1 else 1e-9
        assert abs(value - self.accel[-1]) <= 10.0 * PERIOD_S + slack
        self.accel.append(value)

    @staticmethod
    def _largest(speed_mps: float) -> float:
        rows = [(0.0, 0.5), (10.0, 0.08), (20.0, 0.025), (40.0, 0.008)]
        for (x0, y0), (x1, y1) in pairwise(rows):
            if speed_mps <= x1:
                return y0 + (y1 - y0) * (speed_mps - x0) / (x1 - x0)
        return rows[-1][1]


def fuzzed(rng: random.Random, last: float, low: float, high: float) -> object:
    """One value: around the last one, around a limit, anywhere, with a flipped bit, or hostile."""
    kind = rng.randrange(8)
    if kind < 3:
        return last + rng.gauss(0, 0.003)
    if kind == 3:
        return rng.choice((low, high, math.nextafter(high, math.inf), math.nextafter(low, -math.inf)))
    if kind == 4:
        return rng.uniform(2 * low, 2 * high)
    if kind == 5:
        bits = struct.unpack("<Q", struct.pack("<d", last))[0] ^ 1 << rng.randrange(64)
        return struct.unpack("<d", struct.pack("<Q", bits))[0]
    if kind == 6:
        return rng.choice(HOSTILE)
    return rng.uniform(low, high)


def recorded() -> list[tuple[float, float, float]]:
    """Steering, acceleration and speed of 20 s of the reference vehicle under control, one row for each period."""
    path = Path(__file__).resolve().parent / "data" / "reference_commands.csv"
    with path.open(newline="") as file:
        return [(float(steering), float(accel), float(speed)) for steering, accel, speed in list(csv.reader(file))[1:]]


def glitched(rng: random.Random, value: float, low: float, high: float) -> object:
    """A recorded value, now and then with a spike, a wrong sign, a flipped bit, or what is no number."""
    kind = rng.randrange(60)
    if kind == 0:
        return value + rng.choice((-1, 1)) * rng.uniform(0, 2 * high)
    if kind == 1:
        return -value
    return fuzzed(rng, value, low, high) if kind == 2 else value


class Script:
    """What is asked in each period: hostile values for a while, then a stretch of the recording with glitches."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._recorded = recorded()
        self._left = 0
        self._at = 0
        self.speed_mps = 20.0

    def commands(self, steering: float, accel: float) -> tuple[object, object]:
        """The next command, after these values were in force."""
        rng = self._rng
        if not self._left and rng.random() < 0.002:
            self._left = 300
            self._at = rng.randrange(len(self._recorded) - 700)
        if not self._left:
            self.speed_mps = min(45.0, max(0.0, self.speed_mps + rng.gauss(0, 0.05)))
            if rng.random() < 0.001:
                self.speed_mps = rng.uniform(0.0, 45.0)  # a speed that jumps must not let the steering jump
            return fuzzed(rng, steering, -0.5, 0.5), fuzzed(rng, accel, -3.5, 2.0)
        self._left -= 1
        if rng.random() < 0.02:
            self._at += rng.randrange(-5, 6)  # samples that are left out, or come twice and in the wrong order
        self._at = max(0, self._at + 1)
        wanted_steering, wanted_accel, self.speed_mps = self._recorded[self._at]
        return glitched(rng, wanted_steering, -0.5, 0.5), glitched(rng, wanted_accel, -3.5, 2.0)


NOT_READY = [frozenset({"steering_rad"}), frozenset({"accel_mps2"}), frozenset({"steering_rad", "accel_mps2"})]


def drive(rng: random.Random, commands: int) -> Iterator[tuple[GuardBench, Decision, float, dict[str, float]]]:
    """Hostile and replayed commands to one guard, on a bus and with a driver that change at random.

    Yields the bench, its decision, the speed that the guard may believe, and where the actuators were measured.
    """
    bench, script = GuardBench(), Script(rng)
    trusted_mps, quiet, not_ready = 20.0, 0, 0
    last = {"steering_rad": 0.0, "accel_mps2": 0.0}
    for number in range(commands):
        quiet = quiet - 1 if quiet else rng.choice((0, 0, 0, 0, 5, 120)) if rng.random() < 0.02 else 0
        not_ready = not_ready - 1 if not_ready else rng.randrange(450) if rng.random() < 0.0005 else 0
        steering, accel = last["steering_rad"], last["accel_mps2"]
        measured = {"steering_rad": steering + rng.gauss(0, 0.001), "accel_mps2": accel + rng.gauss(0, 0.1)}
        if rng.random() < 0.01:
            bench.repeat_cycle()
        if rng.random() < 0.02:
            bench.guard.stop_asked("camera is lost" if rng.random() < 0.02 else "")
        decision = bench.step(
            *script.commands(steering, accel),
            silent=bool(quiet),
            valid=rng.random() > 0.01,
            envelope_hash="stale" if rng.random() < 0.01 else None,
            speed_mps=script.speed_mps,
            measured=measured,
            engage=number % 40 == 5,
            brake=rng.random() < 0.002,
            gas=rng.random() < 0.002,
            steering=rng.random() < 0.002,
            not_ready=NOT_READY[not_ready // 150] if not_ready else frozenset(),
            problems=("silent:MOTION",) if rng.random() < 0.002 else (),
        )
        trusted_mps = trusted_mps if bench.vehicle.problems else script.speed_mps
        yield bench, decision, trusted_mps, measured
        last = dict(decision.values)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_outside_the_envelope_ever_leave(seed: int) -> None:
    judge = Judge()
    for bench, decision, speed_mps, measured in drive(random.Random(seed), COMMANDS // 4):
        judge.look(decision, speed_mps, measured)
        assert bench.state is not State.FAULT_LATCHED, bench.cause
    assert judge.enabled > COMMANDS / 4 * 0.15


def test_the_judge_would_see_a_frame_outside() -> None:
    bench, judge = GuardBench(), Judge()
    bench.engage()
    judge.look(bench.step(), 20.0, {"steering_rad": 0.0, "accel_mps2": 0.0})
    for steering, accel in ((0.001, 0.0), (0.0, 0.2)):
        bounds = {"steering_rad": (-1.0, 1.0), "accel_mps2": (-9.0, 9.0)}
        both = {"steering_rad": True, "accel_mps2": True}
        values = {"steering_rad": steering, "accel_mps2": accel}
        frames = bench.gate.frames(values, bounds, both, state=2, limits_hash=0)
        with pytest.raises(AssertionError):
            judge.look(Decision(frames, {}, True, "ok"), 20.0, {})
