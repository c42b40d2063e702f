"""The controller of benches/faults.py: it drives straight on, or sends what its switch says."""

from __future__ import annotations

import math
import mmap
import struct
from enum import IntEnum
from pathlib import Path

from cardan.runtime.clock import ns
from cardan.runtime.messages import ActuatorCommand
from cardan.runtime.node import Node, Output

SWITCH = struct.Struct("<qq")
"""Which fault is wanted, and when the first command that has it was sent (monotonic ns; 0 = not yet)."""


AWAY_S = 0.1


class Wanted(IntEnum):
    """What the controller sends."""

    GOOD = 0
    NAN = 1
    OUT_OF_RANGE = 2


class Switch:
    """One small file in shared memory between the bench and the controller."""

    def __init__(self, folder: Path) -> None:
        path = folder / "fault_switch"
        with path.open("a+b") as file:
            file.truncate(SWITCH.size)
            self._page = mmap.mmap(file.fileno(), SWITCH.size)

    def set(self, wanted: Wanted) -> None:
        SWITCH.pack_into(self._page, 0, wanted, 0)

    def read(self) -> tuple[Wanted, int]:
        wanted, sent_ns = SWITCH.unpack_from(self._page)
        return Wanted(wanted), sent_ns

    def note_sent(self, wanted: Wanted, now_ns: int) -> None:
        SWITCH.pack_into(self._page, 0, wanted, now_ns)


class Controller(Node):
    """Sends a command in each step."""

    rate_hz = 100.0
    command = Output(ActuatorCommand)

    def open(self) -> None:
        # A controller that is killed shall not be back before anybody has missed it.
        self.clock.sleep_until_ns(self.clock.now_ns() + ns(AWAY_S))
        self._switch = Switch(self.context.data_dir)
        self._cycle = 0

    def step(self) -> None:
        wanted, sent_ns = self._switch.read()
        steering, accel = {
            Wanted.GOOD: (0.0, 0.0),
            Wanted.NAN: (math.nan, 0.0),
            Wanted.OUT_OF_RANGE: (0.4, 1.9),
        }[wanted]
        if wanted is not Wanted.GOOD and not sent_ns:
            self._switch.note_sent(wanted, self.clock.now_ns())
        self.command.send(
            ActuatorCommand(
                cycle=self._cycle,
                steering_rad=steering,
                accel_mps2=accel,
                envelope_hash=self.context.envelope_hash,
            ),
            valid=True,
        )
        self._cycle += 1
