"""Bridge: the only node that may send to actuators. It feeds the guard and carries out what the guard decides."""

from __future__ import annotations

import math
import os

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.channel import CanChannel, Confirming
from cardan.drivers.can.error_frames import decode_error_frame
from cardan.firmware_bridge.bridge_config import BridgeConfig, guard_settings, open_gate
from cardan.firmware_bridge.dbc import Dbc
from cardan.firmware_bridge.engage import State, Transition
from cardan.firmware_bridge.envelope import Envelope
from cardan.firmware_bridge.gate import Gate, OutFrame
from cardan.firmware_bridge.guard import Command, Decision, Guard, Vehicle
from cardan.firmware_bridge.latch import Latch
from cardan.firmware_bridge.limits import read_envelope
from cardan.firmware_bridge.transmit_watch import TransmitWatch
from cardan.firmware_bridge.vehicle_bus import VehicleBus
from cardan.firmware_bridge.vehicle_map import open_map
from cardan.firmware_bridge.vehicle_state import only_channel
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.control_port import Answer, CheckResult, ControlPort, name_of, port_path
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.messages import ActuatorCommand, BridgeVerdict, CanFrame, CanFrames
from cardan.runtime.node import Input, Metric, Node, Output

NEEDED = ("speed_mps", "brake_pressed", "cancel_requested", "engage_requested")
"""What the vehicle's bus must tell before a bridge may ever send."""
MEASURED = {"steering_angle": "steering_rad", "acceleration": "accel_mps2"}
"""Quantity of the envelope -> what measures it."""
POLICIES = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_RR: "SCHED_RR", os.SCHED_BATCH: "SCHED_BATCH"}
RECEIVE_LIMIT = 512
"""Frames taken in one period: twice a full 1 Mbit/s bus, so a backlog is gone within a few periods."""

CONFIRM_PERIODS = 5
"""A frame that the bus has not confirmed after so many periods was not sent, where the bus confirms at all."""
ON_BUS_WITHIN_NS = 1_000_000
"""So long a step takes at most until its frames are on the bus: what they rely on must be fresh then, not before."""
READY = {"steering_angle": "steering_ready", "acceleration": "accel_ready"}
"""Quantity of the envelope -> what tells that its actuator takes commands."""


class Bridge(Node):
    """Judge every command, engage and disengage, send what is allowed, and answer in the same period.

    The age of a command is judged by the guard, so the input has no age limit of its own. The bridge reads the bus of
    the vehicle itself: what it trusts does not come through another process.
    """

    config: BridgeConfig
    rate_hz = 100.0
    command = Input(ActuatorCommand)
    verdict = Output(BridgeVerdict)
    sent = Output(CanFrames)
    safe_stops = Metric("count")
    """1 for each safe stop that began."""
    soft_disables = Metric("count")
    """1 each time that control or the bus was away while engaged."""
    photon_to_can = Metric("s")
    """From the capture of a camera frame to the first CAN frames that follow from it, once for each camera frame."""
    limited = Metric("count")
    """1 for each command that was not followed as it was while engaged."""

    def open(self) -> None:
        config, context = self.config, self.context
        self._channel: CanChannel | None = None
        self._port: ControlPort | None = None
        rate_hz = context.rate_hz or 100.0
        envelope = read_envelope(context.envelope, period_s=1.0 / rate_hz, max_age_periods=config.max_age_periods)
        self._measured = {item.name: MEASURED.get(item.quantity, "") for item in envelope.signals}
        self._ready = {item.name: READY.get(item.quantity, "") for item in envelope.signals}
        vehicle, dbc = open_map(config.vehicle, context.manifest_dir)
        channel = only_channel(context, config.channel)
        self._bus = VehicleBus(vehicle, dbc, channel=channel, max_age_s=config.max_age_s)
        gate = None if config.listen_only else self._open_gate(envelope, dbc)
        self._guard = Guard(envelope, gate, guard_settings(config), self.clock.now_ns())
        self._latch = Latch(context.data_dir / f"{context.name}.latched")
        self._guard.report_fault(self._latch.cause())
        self._transmitted = TransmitWatch(round(CONFIRM_PERIODS * NS_PER_S / rate_hz))
        self._channel = opened = open_channel(context.can_channels[channel], self.clock)
        self._confirming = opened if isinstance(opened, Confirming) else None
        self._port = ControlPort(port_path(context.run_dir, context.name))
        self._send_failed = False
        self._changes = 0
        self._origin_ns = 0

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        on_bus_ns = now_ns + ON_BUS_WITHIN_NS
        self._receive(now_ns)
        asked = self._take_question()
        self._guard.stop_asked(self.context.stop_wanted())
        if not self._guard.engagement.active:
            self._guard.demand(self._unmet_demand())
        decision = self._guard.step(on_bus_ns, self._command(), self._vehicle(on_bus_ns))
        if self._send(decision.frames, now_ns):
            self._measure_photon_to_can(decision)
        self._answer(decision)
        if self._guard.engagement.changes > self._changes:
            self._report_transitions()
        if asked:
            self._answer_question()
        if self._guard.engagement.active and not decision.accepted:
            self.limited.observe(1)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._port is not None:
            self._port.close()
            self._port = None

    # ------------------------------------------------------------------------------------------------------- opening

    def _open_gate(self, envelope: Envelope, dbc: Dbc) -> Gate:
        missing = self._bus.missing([*NEEDED, *(name for name in self._measured.values() if name)])
        if missing:
            hint = "the bridge never sends without them; set listen_only = true to look on"
            raise ConfigError(f"the vehicle map has no {', '.join(missing)}", hint=hint)
        return open_gate(self.config, envelope, dbc)

    # ------------------------------------------------------------------------------------------------------ one period

    def _receive(self, now_ns: int) -> None:
        guard, believe = self._guard, self._bus.receive
        for frame in self._open_channel().receive_batch(RECEIVE_LIMIT):
            if frame.error:
                self._judge_error(frame)
            elif guard.owns(frame.id, frame.extended):
                guard.foreign_frame(frame.id)
            else:
                believe(frame)
        if self._confirming is not None:
            for frame in self._confirming.take_confirmed():
                self._transmitted.echoed(frame.id, frame.data)
            if self._transmitted.overdue(now_ns):
                guard.report_fault("not-confirmed")

    def _judge_error(self, frame: CanFrame) -> None:
        """A controller that has left the bus cannot carry what we send."""
        if self._guard.engagement.active and decode_error_frame(frame.id, frame.data).bus_off:
            self._guard.report_fault("bus-off")

    def _unmet_demand(self) -> str:
        """What the profile insists on and this process has not."""
        policy = os.sched_getscheduler(0)
        if self.context.profile.realtime.scheduler != "fifo" or policy == os.SCHED_FIFO:
            return ""
        return f"SCHED_FIFO demanded, has {POLICIES.get(policy, str(policy))}"

    def _take_question(self) -> bool:
        """Hand on what a person asks; True when somebody waits for the answer."""
        question = self._port.take() if self._port is not None else None
        if question is None:
            return False
        who = name_of(question.who)
        if question.verb == "arm":
            self._guard.engage(who)
        elif question.verb == "disarm":
            self._guard.disengage(who)
        elif question.verb == "reset":
            self._guard.reset(who)
        return True

    def _answer_question(self) -> None:
        checks = [
            CheckResult(name=item.name, passed=item.passed, text=item.text, hint=item.hint)
            for item in self._guard.arming_report()
        ]
        engagement = self._guard.engagement
        if self._port is not None:
            self._port.answer(Answer(engagement=engagement.state.value, cause=engagement.cause, checks=checks))

    def _command(self) -> Command | None:
        message = self.command.value_or_none
        if message is None:
            return None
        values = {name: getattr(message, name, None) for name in self._measured}
        return Command(message.cycle, values, message.envelope_hash, self.command.sent_ns, self.command.valid)

    def _vehicle(self, now_ns: int) -> Vehicle:
        bus = self._bus
        return Vehicle(
            problems=tuple(bus.problems(now_ns)),
            speed_mps=bus.number("speed_mps"),
            measured={name: bus.number(source) if source else math.nan for name, source in self._measured.items()},
            not_ready=frozenset(name for name, source in self._ready.items() if not self._is_ready(source, now_ns)),
            brake=bus.switch("brake_pressed"),
            cancel=bus.switch("cancel_requested"),
            gas=bus.switch("gas_pressed"),
            steering=bus.switch("steering_override"),
            engage=bus.switch("engage_requested"),
        )

    def _is_ready(self, source: str, now_ns: int) -> bool:
        """An actuator takes commands when it says so, in a message that may be believed; or when it cannot say."""
        bus = self._bus
        return not bus.has(source) or (bus.switch(source) and bus.answers(source, now_ns))

    def _send(self, frames: list[OutFrame], now_ns: int) -> bool:
        if not frames:
            return False
        channel = self._open_channel()
        try:
            carried = [
                CanFrame(
                    channel.name,
                    frame.id,
                    frame.data,
                    channel.send(frame.id, frame.data, extended=frame.extended, fd=frame.fd),
                    frame.extended,
                    frame.fd,
                )
                for frame in frames
            ]
        except DeviceError as error:
            self._guard.send_result(False)
            if not self._send_failed:
                self.report_fault("can-send", error.message)
            self._send_failed = True
            return False
        self._guard.send_result(True)
        self._send_failed = False
        if self._confirming is not None:
            for frame in frames:
                self._transmitted.sent(frame.id, frame.data, now_ns)
        self.sent.send(CanFrames(frames=carried), valid=True)
        return True

    def _measure_photon_to_can(self, decision: Decision) -> None:
        origin_ns = self.command.origin_ns
        if decision.accepted and self.command.valid and origin_ns > self._origin_ns:
            self._origin_ns = origin_ns
            self.photon_to_can.observe((self.clock.now_ns() - origin_ns) / 1e9)

    def _answer(self, decision: Decision) -> None:
        engagement, message = self._guard.engagement, self.command.value_or_none
        self.verdict.send(
            BridgeVerdict(
                cycle=message.cycle if message is not None else -1,
                engagement=engagement.state.value,
                armed=engagement.active,
                accepted=decision.accepted,
                reason=decision.reason,
                cause=engagement.cause,
                steering_rad=decision.values.get("steering_rad", 0.0),
                accel_mps2=decision.values.get("accel_mps2", 0.0),
            ),
            valid=True,
        )

    def _report_transitions(self) -> None:
        engagement = self._guard.engagement
        new = engagement.changes - self._changes
        self._changes = engagement.changes
        for transition in list(engagement.history)[-new:]:
            self._report_transition(transition)

    def _report_transition(self, newest: Transition) -> None:
        before, after, cause = newest.before.value, newest.after.value, newest.cause
        self.note("engagement", f"{before} -> {after}: {cause}", before=before, after=after, cause=cause)
        if newest.after is State.SOFT_DISABLING:
            self.soft_disables.observe(1)
        if newest.after is State.SAFE_STOP:
            self.safe_stops.observe(1)
        if newest.after in (State.SAFE_STOP, State.FAULT_LATCHED):
            self.report_fault(newest.after.value, newest.cause)
        if newest.after is State.FAULT_LATCHED:
            self._log_if(self._latch.set(newest.cause))
        if newest.before is State.FAULT_LATCHED:
            self._log_if(self._latch.clear())

    def _log_if(self, wrong: str) -> None:
        if wrong:
            self.log.error("the latched fault could not be kept on disk: %s", wrong)

    def _open_channel(self) -> CanChannel:
        if self._channel is None:
            raise DeviceError("the bridge has no open CAN channel")
        return self._channel
