"""When the simulated driver engages: a moment after the start, and again a while after each disengagement."""

from __future__ import annotations

from cardan.firmware_bridge.sim_ecu import Pedals
from cardan.runtime.clock import ns

PRESS_S = 0.2
"""How long a driver holds a button."""
FEET_OFF_S = 0.7
"""So long after the press the pedals stay free, so that the bridge can arm."""
FIRM_BRAKING_MPS2 = -1.5
"""When traffic asks for more, the driver brakes first and engages later."""


class EngageHabit:
    """Decides on the button and the pedals. Pure: it gets the time."""

    def __init__(self, *, first_s: float, again_s: float, retry_s: float) -> None:
        self._first_ns, self._again_ns, self._retry_ns = ns(first_s), ns(again_s), ns(retry_s)
        self._press_ns: int | None = None
        self._engaged = False

    def pedals(self, now_ns: int, *, engaged: bool, wish_mps2: float) -> Pedals:
        """What the driver does now. engaged: the automation drives; wish_mps2: what the driver would like to do."""
        press_ns = self._plan(now_ns, engaged)
        if engaged:
            return Pedals()
        since_ns = now_ns - press_ns
        if 0 <= since_ns < ns(FEET_OFF_S) and wish_mps2 > FIRM_BRAKING_MPS2:
            return Pedals(engage=since_ns < ns(PRESS_S))
        return Pedals(brake=min(1.0, max(0.0, -wish_mps2 / 9.0)), gas=min(1.0, max(0.0, wish_mps2 / 3.0)))

    def _plan(self, now_ns: int, engaged: bool) -> int:
        """When the button is, or will be, pressed. The first call is the start."""
        press_ns = now_ns + self._first_ns if self._press_ns is None else self._press_ns
        if self._engaged and not engaged:
            press_ns = now_ns + self._again_ns
        elif not engaged and now_ns - press_ns >= ns(FEET_OFF_S) + self._retry_ns:
            press_ns = now_ns
        self._press_ns, self._engaged = press_ns, engaged
        return press_ns
