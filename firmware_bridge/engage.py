"""Who drives: the engagement state machine, as one table of transitions. Pure: it gets the time and the events.

Each period the guard collects the events that hold, each with its cause; the first row of the present state whose
event holds is taken, so the order of the rows is their priority, and a transition has exactly one cause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Who drives, and why."""

    __hash__ = object.__hash__  # a member is one object; Enum's own hash is written in Python and ten times slower

    DISABLED = "disabled"
    """The driver; the bridge is silent."""
    PRE_ENABLED = "pre-enabled"
    """The driver has asked to engage; the arming checks decide."""
    ENABLED = "enabled"
    """Control, within the envelope."""
    OVERRIDING = "overriding"
    """The driver steers or accelerates; that actuator is released, the other one stays with control."""
    SOFT_DISABLING = "soft-disabling"
    """Control or the bus has failed a moment ago: hold the steering, slow down gently, hope for its return."""
    SAFE_STOP = "safe-stop"
    """It did not return: the declared sequence runs, to standstill or until the driver takes over."""
    FAULT_LATCHED = "fault-latched"
    """A fault that nothing on the bus can clear; silent until a person resets it."""


class Event(Enum):
    """What can hold in one period."""

    __hash__ = object.__hash__  # as above

    FAULT = "fault"
    """Someone else sends our messages, a frame failed its last check, sending fails, or the bus confirms nothing."""
    RESET = "reset"
    """A person cleared the latched fault."""
    DRIVER_TAKES_OVER = "driver-takes-over"
    """Brake or cancel, or a person at the command line."""
    DRIVER_OVERRIDES = "driver-overrides"
    """Steering torque or accelerator."""
    BUS_LOST = "bus-lost"
    """A vehicle message that control needs may not be believed, or an actuator takes no commands."""
    COMMAND_LOST = "command-lost"
    """No usable command for more than three periods."""
    STOP_ASKED = "stop-asked"
    """The supervisor asks for a safe stop: something that the manifest calls critical is lost."""
    ENGAGE = "engage"
    """The driver's engage signal went from off to on, or a person at the command line asks for it."""
    CHECKS_PASSED = "checks-passed"
    """All arming checks passed."""
    TIMED_OUT = "timed-out"
    """The time that this state may last is over."""
    RECOVERED = "recovered"
    """Commands and bus have been good for several periods in a row."""
    STANDSTILL = "standstill"
    """The safe stop has ended: at standstill, or with the actuators released."""


_FAULT = (Event.FAULT, State.FAULT_LATCHED)
_DRIVER = (Event.DRIVER_TAKES_OVER, State.DISABLED)
_ANY_DRIVER = (_DRIVER, (Event.DRIVER_OVERRIDES, State.DISABLED))
_STOP = (Event.STOP_ASKED, State.SAFE_STOP)
_LOST = ((Event.BUS_LOST, State.SOFT_DISABLING), (Event.COMMAND_LOST, State.SOFT_DISABLING))

TRANSITIONS: Mapping[State, tuple[tuple[Event, State], ...]] = {
    State.DISABLED: (_FAULT, (Event.ENGAGE, State.PRE_ENABLED)),
    State.PRE_ENABLED: (
        _FAULT,
        _DRIVER,
        (Event.CHECKS_PASSED, State.ENABLED),
        (Event.TIMED_OUT, State.DISABLED),
    ),
    State.ENABLED: (_FAULT, _DRIVER, _STOP, *_LOST, (Event.DRIVER_OVERRIDES, State.OVERRIDING)),
    State.OVERRIDING: (_FAULT, _DRIVER, _STOP, *_LOST, (Event.RECOVERED, State.ENABLED)),
    State.SOFT_DISABLING: (
        _FAULT,
        *_ANY_DRIVER,
        _STOP,
        (Event.RECOVERED, State.ENABLED),
        (Event.TIMED_OUT, State.SAFE_STOP),
    ),
    State.SAFE_STOP: (_FAULT, *_ANY_DRIVER, (Event.STANDSTILL, State.DISABLED)),
    State.FAULT_LATCHED: ((Event.RESET, State.DISABLED),),
}
"""State -> (event, next state), highest priority first. An event that is not listed changes nothing."""

ACTIVE = frozenset((State.ENABLED, State.OVERRIDING, State.SOFT_DISABLING, State.SAFE_STOP))
"""States in which the bridge sends."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state and its one cause."""

    stamp_ns: int
    before: State
    after: State
    cause: str


class Engagement:
    """The present state, since when, and how it came about."""

    HISTORY = 256
    """Transitions that are kept; the oldest is dropped."""

    def __init__(self, now_ns: int) -> None:
        self.state = State.DISABLED
        self.entered_ns = now_ns
        self.cause = "start"
        """Of the newest transition."""
        self.history: deque[Transition] = deque(maxlen=self.HISTORY)
        self.changes = 0
        """Transitions so far, also those that the history has dropped."""

    @property
    def active(self) -> bool:
        """True while the bridge sends."""
        return self.state in ACTIVE

    def step(self, now_ns: int, events: Mapping[Event, str]) -> Transition | None:
        """Take at most one transition. events: what holds now, with the cause that is recorded for it."""
        for event, after in TRANSITIONS[self.state]:
            if event in events:
                transition = Transition(now_ns, self.state, after, events[event])
                self.history.append(transition)
                self.changes += 1
                self.state, self.entered_ns, self.cause = after, now_ns, transition.cause
                return transition
        return None
