"""Drive the guard in a test: the reference vehicle's messages, a fake clock, and a driver who does as told.

bench = GuardBench()
bench.engage()
decision = bench.step(steering_rad=0.01)
assert decision.accepted
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.engage import State
from cardan.firmware_bridge.envelope import Envelope
from cardan.firmware_bridge.gate import Actuator, Gate
from cardan.firmware_bridge.guard import Command, Decision, Guard, GuardSettings, Vehicle
from cardan.firmware_bridge.limits import read_envelope
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.clock import FakeClock, ns
from cardan.runtime.errors import NodeError
from cardan.runtime.messages import SimTruth

PERIOD_S = 0.01
LIMITS: Mapping[str, Mapping[str, object]] = {
    "steering_rad": {
        "minimum": -0.5,
        "maximum": 0.5,
        "rate_per_s": 0.6,
        "change_per_window": 0.1,
        "wheelbase_m": 2.578,
        "maximum_by_speed": [[0.0, 0.5], [10.0, 0.08], [20.0, 0.025], [40.0, 0.008]],
    },
    "accel_mps2": {"minimum": -3.5, "maximum": 2.0, "rate_per_s": 10.0},
}
"""An envelope much like that of the reference vehicle."""
AT_20_MPS = Vehicle(problems=(), speed_mps=20.0, measured={"steering_rad": 0.0, "accel_mps2": 0.0})


@dataclass
class GuardBench:
    """A guard on a bench. Time moves by one period a step; what is not said in a call stays as it was."""

    limits: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: dict(LIMITS))
    settings: GuardSettings = field(default_factory=GuardSettings)
    vehicle: Vehicle = AT_20_MPS

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.envelope: Envelope = read_envelope(self.limits, period_s=PERIOD_S)
        self.dbc = load_dbc(reference_dbc_path())
        steering, accel = self.dbc.message("STEERING_COMMAND"), self.dbc.message("ACCEL_COMMAND")
        self.gate = Gate(
            [
                Actuator(signal="steering_rad", message=steering, value="ROAD_WHEEL_ANGLE", enable="ENABLE"),
                Actuator(signal="accel_mps2", message=accel, value="ACCELERATION", enable="ENABLE"),
            ],
            status=self.dbc.message("BRIDGE_STATUS"),
        )
        self.guard = Guard(self.envelope, self.gate, self.settings, self.clock.now_ns())
        self._cycle = 0
        self._newest: Command | None = None

    @property
    def state(self) -> State:
        """The engagement."""
        return self.guard.engagement.state

    @property
    def cause(self) -> str:
        """Cause of the newest transition."""
        return self.guard.engagement.cause

    def step(
        self,
        steering_rad: object = 0.0,
        accel_mps2: object = 0.0,
        *,
        silent: bool = False,
        valid: bool = True,
        envelope_hash: str | None = None,
        **vehicle: object,
    ) -> Decision:
        """One period with a new command (silent: without), and with `vehicle` changed for good as named."""
        self.clock.advance_s(PERIOD_S)
        self.vehicle = replace(self.vehicle, **vehicle)  # type: ignore[arg-type] # names and types are the caller's
        if not silent:
            values = {"steering_rad": steering_rad, "accel_mps2": accel_mps2}
            limits_hash = self.envelope.hash if envelope_hash is None else envelope_hash
            self._newest = Command(self._cycle, values, limits_hash, self.clock.now_ns() - ns(0.001), valid)
            self._cycle += 1
        return self.guard.step(self.clock.now_ns(), self._newest, self.vehicle)

    def repeat_cycle(self) -> None:
        """Let the next command carry the number of the last one."""
        self._cycle = max(0, self._cycle - 1)

    def run(self, seconds: float, **step: object) -> list[Decision]:
        """Steps for `seconds`, all alike."""
        return [self.step(**step) for _ in range(round(seconds / PERIOD_S))]  # type: ignore[arg-type] # as in step

    def engage(self) -> None:
        """The driver presses and lets go of the engage button; NodeError when that does not enable."""
        self.step(engage=False)
        self.step(engage=True)
        self.step(engage=False)
        if self.state is not State.ENABLED:
            raise NodeError(f"not enabled but {self.state.value}", hint=self.cause)


def truth(speed_mps: float) -> SimTruth:
    """A vehicle that goes straight on, as a simulation would say it."""
    return SimTruth(
        step=0,
        x_m=0.0,
        y_m=0.0,
        heading_rad=0.0,
        speed_mps=speed_mps,
        accel_mps2=0.0,
        yaw_rate_radps=0.0,
        steering_rad=0.0,
        road_s_m=0.0,
        lane_offset_m=0.0,
        lane_width_m=3.5,
        centre_x_m=(),
        centre_y_m=(),
        lead_present=False,
        lead_gap_m=0.0,
        lead_x_m=0.0,
        lead_y_m=0.0,
        lead_heading_rad=0.0,
        lead_speed_mps=0.0,
        driver_in_control=True,
    )
