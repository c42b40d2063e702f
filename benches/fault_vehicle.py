"""The other end of the bus of benches/faults.py: sensors that can fail, control units that time out, and a witness.

Everything is stamped by the kernel when it is on the bus. The phase of the sensors against the bridge is another one in
each trial, so that the worst case is among them.
"""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from cardan.drivers.can.loopback import LoopbackChannel
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.sim_ecu import ActuatorEcu, Pedals, SensorEcu
from cardan.firmware_bridge.testing import truth
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.messages import CanFrame
from cardan.runtime.profile import CanChannelSettings

PERIOD_NS = 10_000_000
SPEED_MPS = 20.0
PRIORITY = 45
"""Below the bridge and the controller: a vehicle's control units do not take their processor."""
MOTION, STEERING, ACCEL, STATUS = 0xB3, 0x120, 0x121, 0x122
DISABLED, PRE_ENABLED, ENABLED, OVERRIDING, SOFT_DISABLING, SAFE_STOP = range(6)
SENSORS = (0xB0, 0xB1, 0xB2, 0xB3)
LIMITS = {STEERING: ("ROAD_WHEEL_ANGLE", 0.025), ACCEL: ("ACCELERATION", 3.5)}
"""Signal and largest magnitude at 20 m/s, as faults.toml has them."""


class Said(NamedTuple):
    """One period of the bridge, as the bus carried it."""

    stamp_ns: int
    engagement: int
    steering: bool
    """The steering actuator belongs to the bridge."""


@dataclass
class Faults:
    """What is wrong with the sensors at the moment."""

    silent: frozenset[int] = frozenset()
    corrupt: frozenset[int] = frozenset()
    frozen: dict[int, bytes] = field(default_factory=dict)
    """Identifier -> the bytes that are sent again and again."""


class VehicleEnd:
    """Sends the sensors' frames in each period, and keeps what the bridge sent."""

    def __init__(self, bus: CanChannelSettings, rng: random.Random) -> None:
        self._clock = MonotonicClock()
        self._rng = rng
        self._dbc = load_dbc(reference_dbc_path())
        self.channel = LoopbackChannel(bus, self._clock)
        self._names = {self._dbc.message(name).frame_id: name for name in self._dbc.names}
        self._sensors = SensorEcu(self._dbc)
        self._deadline_ns = self._clock.now_ns()
        self.restart_control_units()
        self.faults = Faults()
        self.said: deque[Said] = deque(maxlen=4096)
        self.outside = 0
        """Frames with a value that the envelope does not allow."""
        self.sent: dict[int, tuple[int, bytes]] = {}
        """Identifier -> stamp and bytes of the newest sensor frame."""
        self.spoiled = 0
        """Bad sensor frames so far."""
        self._steering_said = False

    def restart_control_units(self) -> None:
        self._units = [
            ActuatorEcu(self._dbc.message("STEERING_COMMAND"), "ROAD_WHEEL_ANGLE"),
            ActuatorEcu(self._dbc.message("ACCEL_COMMAND"), "ACCELERATION"),
        ]

    @property
    def let_go(self) -> bool:
        """Both actuators belong to the driver."""
        return all(unit.wish(self._clock.now_ns()) is None for unit in self._units)

    def shift_phase(self) -> None:
        self._deadline_ns += self._rng.randrange(PERIOD_NS)

    def cycle(self, pedals: Pedals | None = None) -> None:
        """Wait for the next period, send the sensors' frames, take what the bridge sent."""
        self._deadline_ns = max(self._deadline_ns + PERIOD_NS, self._clock.now_ns())
        self._clock.sleep_until_ns(self._deadline_ns, spin=True)
        for frame_id, data in self._sensors.frames(truth(SPEED_MPS), pedals or Pedals()):
            self._send_sensor(frame_id, data)
        self.look()

    def _send_sensor(self, frame_id: int, data: bytes) -> None:
        faults = self.faults
        if frame_id in faults.silent:
            return
        if frame_id in faults.corrupt:
            data = bytes((data[0] ^ 0xFF, *data[1:]))
        data = faults.frozen.get(frame_id, data)
        self.spoiled += frame_id in faults.corrupt or frame_id in faults.frozen
        self.sent[frame_id] = (self.channel.send(frame_id, data), data)

    def look(self) -> None:
        """Take what the bridge has sent since the last look."""
        for frame in self.channel.receive_batch():
            for unit in self._units:
                unit.receive(frame)
            self._note(frame)

    def _note(self, frame: CanFrame) -> None:
        content = self._dbc.message(self._names[frame.id]).decode(frame.data)
        if frame.id in LIMITS:
            name, limit = LIMITS[frame.id]
            self.outside += abs(content[name]) > limit
        if frame.id == STEERING:
            self._steering_said = bool(content["ENABLE"])
        if frame.id == STATUS:
            self.said.append(Said(frame.stamp_ns, int(content["ENGAGEMENT"]), self._steering_said))

    def first_after(self, begin_ns: int, what: Callable[[Said], bool], within_s: float) -> Said | None:
        """Go on until the bridge has said it; the first such period after `begin_ns`."""
        ends_ns = begin_ns + round(within_s * 1e9)
        while self._clock.now_ns() < ends_ns:
            self.cycle()
            found = next((said for said in self.said if said.stamp_ns > begin_ns and what(said)), None)
            if found is not None:
                return found
        return None

    def wait(self, cycles: int) -> None:
        for _ in range(cycles):
            self.cycle()

    def pause_inside_a_period(self) -> None:
        """Let a random part of a period pass."""
        self._clock.sleep_until_ns(self._clock.now_ns() + self._rng.randrange(PERIOD_NS // 2), spin=True)

    def close(self) -> None:
        self.channel.close()


def take_realtime() -> str:
    """SCHED_FIFO for this process; "fifo", or what it has instead."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return "no SCHED_FIFO"
    return "fifo"


def stamp_ns() -> int:
    return time.monotonic_ns()
