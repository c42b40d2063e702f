"""What the world outside is told: systemd and the hardware watchdog are fed only while every critical node is alive.

Whoever holds the other end restarts the service, or resets the computer, when the food stays out: because a critical
node does not come back, or because the supervisor itself hangs. During an orderly stop, which the stop time-outs of
the nodes limit, both are fed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import DeviceError
from cardan.runtime.plan import Plan
from cardan.runtime.supervise.events import Code
from cardan.runtime.supervise.notify import Notifier, ServiceWishes
from cardan.runtime.supervise.one_line import standing, status
from cardan.runtime.supervise.watchdog_device import WatchdogDevice
from cardan.runtime.vitals import NodeState, RunState, Vitals

BEGAN = (RunState.RUNNING, RunState.DEGRADED)
DOWN = (NodeState.WAITING, NodeState.STARTING, NodeState.HUNG, NodeState.BACKING_OFF, NodeState.FAILED)
"""A critical node in one of these states does its work for nobody."""


class Device(Protocol):
    """An armed watchdog."""

    path: str
    timeout_s: int

    def feed(self) -> bool: ...

    def disarm(self) -> None: ...


@dataclass
class Feeding:
    """One end that is fed every `every_ns`; a feed that did not arrive is tried again at the next look."""

    every_ns: int
    feed: Callable[[], bool]
    due_ns: int = 0

    def tick(self, now_ns: int) -> None:
        if now_ns >= self.due_ns and self.feed():
            self.due_ns = now_ns + self.every_ns


class Lifeline:
    """Reads the vitals and tells those outside. `look` never waits.

    note: takes the code and the fields of an event. open_device: takes path and time-out in seconds, arms the watchdog.
    """

    def __init__(
        self,
        plan: Plan,
        vitals: Vitals,
        wishes: ServiceWishes,
        note: Callable[..., None],
        open_device: Callable[[str, int], Device] = WatchdogDevice,
    ) -> None:
        self._vitals = vitals
        self._critical = [vitals.nodes[node.name] for node in plan.nodes if node.critical]
        self._settings = plan.profile.watchdog
        self._note = note
        self._open_device = open_device
        self._notifier = Notifier(wishes.address)
        self._watchdog_ns = wishes.watchdog_ns
        self._feedings: list[Feeding] = []
        self._device: Device | None = None
        self._told: tuple[int, ...] = ()
        self._is_ready = False
        self._is_stopping = False

    def look(self, now_ns: int) -> None:
        """Tell what has changed, and feed whom it is time to feed."""
        state = self._vitals.run_state
        self._tell_status()
        if not self._is_ready and state in BEGAN and self._is_alive():
            self._begin()
        if not self._is_stopping and state is RunState.STOPPING:
            self._is_stopping = self._notifier.send("STOPPING=1")
        if state is RunState.STOPPING or self._is_alive():
            for feeding in self._feedings:
                feeding.tick(now_ns)

    def close(self) -> None:
        """The run has ended in order: the last word, and the hardware watchdog is disarmed."""
        self._tell_status()
        if self._device is not None:
            self._device.disarm()
        self._notifier.close()

    def _begin(self) -> None:
        """From here on somebody counts on us."""
        self._is_ready = self._notifier.send("READY=1")
        if not self._is_ready:
            return
        if self._watchdog_ns:
            self._feedings.append(Feeding(self._watchdog_ns // 2, lambda: self._notifier.send("WATCHDOG=1")))
        if self._settings.device:
            self._arm()

    def _arm(self) -> None:
        wished_s = self._settings.timeout_s
        try:
            device = self._open_device(self._settings.device, wished_s)
        except DeviceError as error:
            self._note(Code.WATCHDOG_MISSING, error=str(error).replace("\n  ", "; "))
            return
        self._note(Code.WATCHDOG_ARMED, device=device.path, timeout_s=device.timeout_s, wished_s=wished_s)
        self._device = device
        self._feedings.append(Feeding(device.timeout_s * NS_PER_S // 2, device.feed))

    def _is_alive(self) -> bool:
        return all(node.state not in DOWN for node in self._critical)

    def _tell_status(self) -> None:
        now = standing(self._vitals)
        if now != self._told and self._notifier.send(f"STATUS={status(self._vitals)}"):
            self._told = now
