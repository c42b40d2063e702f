"""What tests of nodes get from cardan.runtime.testing."""

from __future__ import annotations

from cardan.runtime.messages import BridgeVerdict, CanFrames, VehicleState
from cardan.runtime.testing import blank


def test_a_blank_message_has_what_was_said_and_nothing_else() -> None:
    state = blank(VehicleState, speed_mps=5.0)
    assert state.speed_mps == 5.0 and state.wheel_speed_mps == (0.0, 0.0, 0.0, 0.0) and state.brake_pressed is False
    assert blank(BridgeVerdict, engagement="enabled").engagement == "enabled" and blank(BridgeVerdict).cause == ""
    assert blank(CanFrames).frames == []
