"""The guard: from a command and what the vehicle says to the frames of one period. Pure: it gets the time.

It is closed until the driver, or a person at the command line, engages with every arming check passed, and it decides
alone: the last accepted values, the engagement and the safe stop live here. A period goes: judge the command, collect
the events, take at most one transition, choose the values (the command's, or the guard's own when control or the bus
has failed), build and read back the frames, remember what they carry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cardan.firmware_bridge.arming import Check, arming_checks, first_failure
from cardan.firmware_bridge.codec import CodecError
from cardan.firmware_bridge.engage import Engagement, Event, State, Transition
from cardan.firmware_bridge.envelope import Accepted, Bounds, Envelope, Verdict, advance, check, limit, refuse, start
from cardan.firmware_bridge.gate import Gate, GateFault, OutFrame
from cardan.firmware_bridge.safe_stop import SEQUENCES, SafeStop, StopSequence, with_release

STATE_CODES = {state: code for code, state in enumerate(State)}
"""Number of a state in the status message."""


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """How the guard behaves where the envelope does not say it."""

    listen_only: bool = False
    """Judge, but never arm and never send."""
    pre_enable_s: float = 0.5
    """So long the arming checks may take after the driver engaged."""
    soft_disable_s: float = 1.0
    """So long control or the bus may be away before the safe stop begins."""
    soft_accel_mps2: float = -1.0
    """Asked meanwhile."""
    recover_periods: int = 5
    """Good periods in a row after which control gets the vehicle back."""
    release_periods: int = 10
    """Frames that tell the actuators to let go, after the end of an engagement."""
    send_failures: int = 5
    """Periods in a row that could not be sent before that is a fault."""
    safe_stop: tuple[StopSequence, ...] = SEQUENCES
    """From the best to the last; see safe_stop.py."""


@dataclass(frozen=True, slots=True)
class Command:
    """What control asks."""

    cycle: int
    values: Mapping[str, object]
    envelope_hash: str
    sent_ns: int
    valid: bool


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What the vehicle's bus says."""

    problems: tuple[str, ...]
    """Messages that may not be believed now, as `CODE:MESSAGE`."""
    speed_mps: float
    """NaN when unknown."""
    measured: Mapping[str, float]
    """Where each actuator is; NaN when unknown. Signals that nobody measures may be left out."""
    brake: bool = False
    cancel: bool = False
    gas: bool = False
    steering: bool = False
    """The driver turns the steering wheel against the actuator."""
    engage: bool = False
    not_ready: frozenset[str] = frozenset()
    """Signals whose actuator does not answer, or says that it takes no commands."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the guard decided in one period."""

    frames: list[OutFrame]
    values: Mapping[str, float]
    """Last value of each signal: what the frames carry, or where the actuator is while nothing is sent."""
    accepted: bool
    """The command went out as it was."""
    reason: str
    """`ok`, or why not."""


class Guard:
    """Own state, one instance, one thread."""

    def __init__(self, envelope: Envelope, gate: Gate | None, settings: GuardSettings, now_ns: int) -> None:
        self._envelope = envelope
        self._gate = gate
        self._settings = settings
        self._quantity = {limits.name: limits.quantity for limits in envelope.signals}
        self._max_age_ns = round(envelope.max_age_s * 1e9)
        self._limits_hash = int(envelope.hash[:8], 16)
        self.engagement = Engagement(now_ns)
        self._findings: tuple[Verdict, Vehicle, Mapping[Event, str]] | None = None
        """Of the newest period, for the arming checks."""
        self.checks: list[Check] = []
        """Result of the newest arming checks."""
        self._accepted = dict(start(envelope, {limits.name: limits.safe_value for limits in envelope.signals}))
        self._speed_mps = math.nan
        self._engage_before = True  # a signal that is on from the start is no wish to engage
        self._usable_ns = -(10**18)
        self._good_periods = 0
        self._overridden: frozenset[str] = frozenset()
        self._cycle: tuple[int, int] | None = None
        """Stamp and number of the newest command."""
        self._repeated = False
        """The newest command has a new stamp and an old number."""
        self._fault = ""
        self._reset = ""
        self._asked_by = ""
        self._refused_by = ""
        self._unmet = ""
        self._stop_asked = ""
        self._send_failures = 0
        self._release_left = 0
        self._stop: SafeStop | None = None

    # --------------------------------------------------------------------------------------- told between the periods

    def foreign_frame(self, frame_id: int) -> None:
        """Somebody else sent one of our messages."""
        self.report_fault(f"second-sender:0x{frame_id:X}")

    def report_fault(self, code: str) -> None:
        """Something that nothing on the bus can clear; the first one is the cause that is latched."""
        if not self._settings.listen_only:
            self._fault = self._fault or code

    def send_result(self, sent: bool) -> None:
        """Whether the frames of the last period could be handed to the bus."""
        self._send_failures = 0 if sent else self._send_failures + 1
        if self._send_failures >= self._settings.send_failures:
            self.report_fault("send-failed")

    def stop_asked(self, why: str) -> None:
        """Whether the supervisor asks for a safe stop, until it is told otherwise. why: "" = it does not."""
        self._stop_asked = why

    def reset(self, who: str) -> None:
        """A person clears a latched fault."""
        self._reset = f"reset-by:{who}"

    def engage(self, who: str) -> None:
        """A person asks to engage, as with the vehicle's own engage signal."""
        self._asked_by = f"engaged-by:{who}"

    def disengage(self, who: str) -> None:
        """A person ends the engagement, as with the vehicle's own cancel signal."""
        self._refused_by = f"disengaged-by:{who}"

    def demand(self, unmet: str) -> None:
        """What the hardware profile demands of this process and is not so, until it is told otherwise; "" = nothing."""
        self._unmet = unmet

    def owns(self, frame_id: int, extended: bool) -> bool:
        """True for a message that only this guard may send."""
        return self._gate is not None and (frame_id, extended) in self._gate.allowed

    # ------------------------------------------------------------------------------------------------------ one period

    def step(self, now_ns: int, command: Command | None, vehicle: Vehicle) -> Decision:
        """Decide one period."""
        if not vehicle.problems and math.isfinite(vehicle.speed_mps):
            self._speed_mps = vehicle.speed_mps
        released = self._overridden
        self._overridden = self._used_by_driver(vehicle) | self._kept_by_driver()
        self._follow_measurement(vehicle, released | self._overridden)
        verdict = self._judge(now_ns, command)
        transition = self.engagement.step(now_ns, self._events(now_ns, verdict, vehicle))
        if transition is not None:
            self._entered(transition, now_ns)
            self._overridden = self._used_by_driver(vehicle) | self._kept_by_driver()
        if self._stop is not None:
            self._stop.choose(self._answering(vehicle), now_ns, self._speed_mps)
        frames, chosen = self._act(now_ns, verdict)
        accepted = verdict.accepted and chosen is verdict and self.engagement.state is State.ENABLED
        return Decision(
            frames=frames,
            values={name: item.last for name, item in self._accepted.items()},
            accepted=accepted,
            reason=self._reason(verdict, accepted),
        )

    def _reason(self, verdict: Verdict, accepted: bool) -> str:
        """`ok`, what is wrong with the command, or else the state in which it cannot be followed."""
        if accepted or verdict.reason != "ok":
            return verdict.reason
        return self.engagement.state.value

    def _used_by_driver(self, vehicle: Vehicle) -> frozenset[str]:
        """The actuators that the driver uses at this moment."""
        if not (vehicle.gas or vehicle.steering):
            return frozenset()
        return frozenset(
            name
            for name, quantity in self._quantity.items()
            if (vehicle.gas and quantity != "steering_angle") or (vehicle.steering and quantity != "acceleration")
        )

    def _kept_by_driver(self) -> frozenset[str]:
        """The actuators that stay released until the override has ended for several periods."""
        return self._overridden if self.engagement.state is State.OVERRIDING else frozenset()

    def _answering(self, vehicle: Vehicle) -> frozenset[str]:
        """The quantities whose actuators all answer."""
        return frozenset(self._quantity.values()) - {self._quantity[name] for name in vehicle.not_ready}

    def _given_up(self) -> frozenset[str]:
        """The actuators that the safe stop does without."""
        if self._stop is None:
            return frozenset()
        lets_go = self._stop.sequence.lets_go_of
        return frozenset(name for name, quantity in self._quantity.items() if lets_go(quantity))

    def _judge(self, now_ns: int, command: Command | None) -> Verdict:
        """The envelope's verdict; refusals for commands that are absent, of other limits, or invalid come first."""
        if command is None:
            return self._refuse("no-command")
        if command.envelope_hash != self._envelope.hash:
            return self._refuse("limits-hash")
        if not command.valid:
            return self._refuse("invalid")
        if self._is_repeated(command):
            return self._refuse("counter")
        verdict = check(
            self._envelope,
            command.values,
            age_s=(now_ns - command.sent_ns) / 1e9,
            speed_mps=self._speed_mps,
            state=self._accepted,
        )
        if verdict.usable:
            self._usable_ns = command.sent_ns
        return verdict

    def _is_repeated(self, command: Command) -> bool:
        """A new message whose number has not grown: a controller that is stuck, or that has just started again."""
        newest = (command.sent_ns, command.cycle)
        if newest != self._cycle:
            self._repeated = self._cycle is not None and command.cycle <= self._cycle[1]
            self._cycle = newest
        return self._repeated

    def _refuse(self, reason: str) -> Verdict:
        return refuse(self._envelope, reason, self._speed_mps, self._accepted)

    def _events(self, now_ns: int, verdict: Verdict, vehicle: Vehicle) -> dict[Event, str]:
        """Everything that holds now, with the cause to record."""
        state = self.engagement.state
        found: dict[Event, str] = {}
        if self._fault:
            found[Event.FAULT], self._fault = self._fault, ""
        if self._reset:
            found[Event.RESET], self._reset = self._reset, ""
        if self._refused_by:
            found[Event.DRIVER_TAKES_OVER], self._refused_by = self._refused_by, ""
        if vehicle.brake or vehicle.cancel:
            found[Event.DRIVER_TAKES_OVER] = "driver-brake" if vehicle.brake else "driver-cancel"
        if vehicle.steering or vehicle.gas:
            found[Event.DRIVER_OVERRIDES] = "driver-steering" if vehicle.steering else "driver-gas"
        if self._stop_asked:
            found[Event.STOP_ASKED] = f"supervisor:{self._stop_asked}"
        if vehicle.problems:
            found[Event.BUS_LOST] = f"bus:{vehicle.problems[0]}"
        elif vehicle.not_ready:
            found[Event.BUS_LOST] = f"not-ready:{min(vehicle.not_ready)}"
        if now_ns - self._usable_ns > self._max_age_ns:
            found[Event.COMMAND_LOST] = f"command:{verdict.reason}"
        if self._asked_by:
            found[Event.ENGAGE], self._asked_by = self._asked_by, ""
        if self._engaged_now(vehicle):
            found[Event.ENGAGE] = "driver-engage"
        self._findings = (verdict, vehicle, found)
        if state is State.PRE_ENABLED:
            self.checks = self.arming_report()
            if all(item.passed for item in self.checks):
                found[Event.CHECKS_PASSED] = "armed"
        if self._recovered(verdict, vehicle):
            found[Event.RECOVERED] = "recovered"
        self._add_time_events(now_ns, vehicle, found)
        return found

    def _engaged_now(self, vehicle: Vehicle) -> bool:
        """The engage signal went from off to on, in messages that may be believed."""
        if vehicle.problems:
            return False
        rising = vehicle.engage and not self._engage_before
        self._engage_before = vehicle.engage
        return rising

    def arming_report(self) -> list[Check]:
        """Every arming check with what was found in the newest period; empty before the first one."""
        if self._findings is None:
            return []
        verdict, vehicle, found = self._findings
        state = self.engagement.state
        return arming_checks(
            self._envelope,
            latched=self.engagement.cause if state is State.FAULT_LATCHED else "",
            listen_only=self._settings.listen_only or self._gate is None,
            unmet=self._unmet,
            command_usable=verdict.usable,
            command_reason=verdict.reason,
            bus_problems=vehicle.problems,
            not_ready=sorted(vehicle.not_ready),
            driver=found.get(Event.DRIVER_TAKES_OVER) or found.get(Event.DRIVER_OVERRIDES) or "",
            stop_asked=self._stop_asked,
            speed_mps=self._speed_mps,
            measured={name: vehicle.measured.get(name, math.nan) for name in self._quantity},
        )

    def _recovered(self, verdict: Verdict, vehicle: Vehicle) -> bool:
        lost = vehicle.problems or vehicle.not_ready
        good = verdict.usable and not lost and not vehicle.steering and not vehicle.gas
        self._good_periods = self._good_periods + 1 if good else 0
        return self._good_periods >= self._settings.recover_periods

    def _add_time_events(self, now_ns: int, vehicle: Vehicle, found: dict[Event, str]) -> None:
        state, elapsed_s = self.engagement.state, (now_ns - self.engagement.entered_ns) / 1e9
        if state is State.PRE_ENABLED and elapsed_s >= self._settings.pre_enable_s:
            found[Event.TIMED_OUT] = f"not-armed:{first_failure(self.checks)}"
        if state is State.SOFT_DISABLING and elapsed_s >= self._settings.soft_disable_s:
            found[Event.TIMED_OUT] = f"not-recovered:{self.engagement.cause}"
        if self._stop is not None:
            ended = self._stop.ended(now_ns, None if vehicle.problems else self._speed_mps)
            if ended:
                found[Event.STANDSTILL] = ended

    def _entered(self, transition: Transition, now_ns: int) -> None:
        """What a change of state starts and ends."""
        self._good_periods = 0
        self._stop = None
        if transition.after is State.SAFE_STOP:
            every = frozenset(self._quantity.values())
            self._stop = SafeStop(with_release(self._settings.safe_stop), every, now_ns, self._speed_mps)
        if transition.after is State.DISABLED and transition.before not in (State.PRE_ENABLED, State.FAULT_LATCHED):
            self._release_left = self._settings.release_periods
        if transition.after is State.FAULT_LATCHED:
            self._release_left = 0

    # ---------------------------------------------------------------------------------------------------- what is sent

    def _act(self, now_ns: int, verdict: Verdict) -> tuple[list[OutFrame], Verdict]:
        """The frames of this period, and the verdict whose values they carry."""
        if self._gate is None or not (self.engagement.active or self._release_left):
            return [], verdict
        try:
            if not self.engagement.active:
                return self._release(self._gate), verdict
            chosen = self._own_values(now_ns, verdict)
            return self._send(self._gate, chosen), chosen
        except (GateFault, CodecError) as error:
            code = error.code if isinstance(error, GateFault) else "encode"
            self.engagement.step(now_ns, {Event.FAULT: code})
            self._release_left = 0
            return [], verdict

    def _own_values(self, now_ns: int, verdict: Verdict) -> Verdict:
        """The command's values, or slower ones while control or the bus has failed."""
        if self._stop is not None:
            accel = self._stop.accel_mps2(now_ns)
        elif self.engagement.state is State.SOFT_DISABLING:
            accel = self._settings.soft_accel_mps2
        else:
            return verdict
        if accel is None:
            return verdict
        wanted = {
            name: min(value, accel) if self._quantity[name] == "acceleration" else value
            for name, value in verdict.values.items()
        }
        return limit(self._envelope, wanted, speed_mps=self._speed_mps, state=self._accepted, drop=False)

    def _send(self, gate: Gate, chosen: Verdict) -> list[OutFrame]:
        released = self._overridden | self._given_up()
        enabled = {name: name not in released for name in chosen.values}
        values = {
            name: gate.snap(name, value, chosen.bounds[name]) if enabled[name] else self._accepted[name].last
            for name, value in chosen.values.items()
        }
        frames = self._frames(gate, values, chosen.bounds, enabled)
        self._accepted = dict(advance(self._envelope, self._accepted, values))
        return frames

    def _release(self, gate: Gate) -> list[OutFrame]:
        """Frames that tell the actuators to let go; they carry the measured values, which nobody uses."""
        self._release_left -= 1
        values = {name: item.last for name, item in self._accepted.items()}
        return self._frames(gate, values, {name: (value, value) for name, value in values.items()}, {})

    def _frames(
        self, gate: Gate, values: Mapping[str, float], bounds: Mapping[str, Bounds], enabled: Mapping[str, bool]
    ) -> list[OutFrame]:
        code = STATE_CODES[self.engagement.state]
        return gate.frames(values, bounds, enabled, state=code, limits_hash=self._limits_hash)

    def _follow_measurement(self, vehicle: Vehicle, released: frozenset[str]) -> None:
        """An actuator that is not ours is where it was measured: from there a ramp begins when it becomes ours."""
        for limits in self._envelope.signals:
            if self.engagement.active and limits.name not in released:
                continue
            value = vehicle.measured.get(limits.name, limits.safe_value)
            if not math.isfinite(value):
                continue
            value = min(max(value, limits.minimum), limits.maximum)
            if self._gate is not None:
                value = self._gate.snap(limits.name, value, (limits.minimum, limits.maximum))
            self._accepted[limits.name] = Accepted(value, (value,))
