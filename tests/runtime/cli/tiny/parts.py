"""Three nodes that drive nothing: enough for every command to have something to show."""

from __future__ import annotations

from cardan.runtime.messages import ActuatorCommand, BridgeVerdict, CanFrame, CanFrames, Message
from cardan.runtime.node import Input, Metric, Node, Output


class Tick(Message, frozen=True, kw_only=True):
    number: int
    ratio: float


class Ticker(Node):
    """Counts."""

    rate_hz = 50.0
    tick = Output(Tick)
    number = 0

    def step(self) -> None:
        self.number += 1
        self.tick.send(Tick(number=self.number, ratio=float("nan")))


class Steer(Node):
    """Asks for straight on."""

    rate_hz = 100.0
    tick = Input(Tick, max_age_s=0.5)
    lane_error = Metric("m")
    command = Output(ActuatorCommand)
    cycle = 0

    def step(self) -> None:
        self.cycle += 1
        self.lane_error.observe(-0.1)
        self.command.send(
            ActuatorCommand(
                cycle=self.cycle, steering_rad=0.0, accel_mps2=0.0, envelope_hash=self.context.envelope_hash
            )
        )


class Gate(Node):
    """Sends a frame for each command, to nobody."""

    rate_hz = 100.0
    command = Input(ActuatorCommand, max_age_s=0.5)
    verdict = Output(BridgeVerdict)
    sent = Output(CanFrames)
    safe_stops = Metric("count")

    def step(self) -> None:
        if not self.command.fresh:
            return
        self.sent.send(CanFrames(frames=[CanFrame("vehicle", 0x123, b"\x01\xab", self.clock.now_ns())]))
        self.verdict.send(
            BridgeVerdict(
                cycle=self.command.value.cycle,
                engagement="enabled",
                armed=True,
                accepted=True,
                reason="ok",
                cause="driver",
                steering_rad=0.0,
                accel_mps2=0.0,
            )
        )
