"""The supervisor may ask for a safe stop: one word in the vitals, and nothing else of it, is needed."""

from __future__ import annotations

import pytest

from cardan.drivers.can.loopback import LoopbackChannel
from cardan.firmware_bridge.bridge import Bridge
from cardan.firmware_bridge.bridge_config import BridgeConfig
from cardan.firmware_bridge.engage import TRANSITIONS, Event, State
from cardan.firmware_bridge.envelope import envelope_hash
from cardan.firmware_bridge.guard import GuardSettings
from cardan.firmware_bridge.testing import LIMITS, GuardBench
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.testing import Bench


@pytest.fixture
def engaged() -> GuardBench:
    bench = GuardBench()
    bench.engage()
    return bench


def test_a_stop_that_is_asked_for_begins_in_the_same_period_though_control_is_well(engaged: GuardBench) -> None:
    engaged.guard.stop_asked("camera is lost")
    engaged.step()
    assert (engaged.state, engaged.cause) == (State.SAFE_STOP, "supervisor:camera is lost")
    assert engaged.run(1.0)[-1].values["accel_mps2"] == pytest.approx(-1.0, abs=0.01)


def test_a_stop_that_has_begun_goes_on_when_nobody_asks_any_more(engaged: GuardBench) -> None:
    engaged.guard.stop_asked("camera is lost")
    engaged.step()
    engaged.guard.stop_asked("")
    engaged.run(1.0)
    assert engaged.state is State.SAFE_STOP


def test_the_driver_takes_over_from_a_stop_that_was_asked_for(engaged: GuardBench) -> None:
    engaged.guard.stop_asked("camera is lost")
    engaged.step()
    engaged.step(gas=True)
    assert (engaged.state, engaged.cause) == (State.DISABLED, "driver-gas")


def test_while_control_is_away_a_stop_that_is_asked_for_does_not_wait(engaged: GuardBench) -> None:
    for _ in range(5):
        engaged.step(silent=True)
    assert engaged.state is State.SOFT_DISABLING
    engaged.guard.stop_asked("control is lost")
    engaged.step(silent=True)
    assert (engaged.state, engaged.cause) == (State.SAFE_STOP, "supervisor:control is lost")


def test_nobody_can_engage_while_a_stop_is_asked_for() -> None:
    bench = GuardBench(settings=GuardSettings(pre_enable_s=0.1))
    bench.guard.stop_asked("camera is lost")
    bench.step(engage=False)
    bench.step(engage=True)
    assert all(decision.frames == [] for decision in bench.run(0.3, engage=False))
    assert (bench.state, bench.cause) == (State.DISABLED, "not-armed:supervisor (camera is lost)")
    bench.guard.stop_asked("")
    bench.engage()


def test_a_stop_that_is_asked_for_never_makes_the_bridge_send() -> None:
    listed = {state for state, rows in TRANSITIONS.items() for event, _ in rows if event is Event.STOP_ASKED}
    assert listed == {State.ENABLED, State.OVERRIDING, State.SOFT_DISABLING}


def test_the_bridge_reads_the_word_in_the_vitals_each_period(bus: CanChannelSettings) -> None:
    limits = {name: dict(values) for name, values in LIMITS.items()}
    settings = {"envelope": limits, "envelope_hash": envelope_hash(limits), "can_channels": {"vehicle": bus}}
    with Bench(Bridge, config=BridgeConfig(pre_enable_s=0.02), **settings) as bench:  # type: ignore[arg-type]  # by name
        vehicle = LoopbackChannel(bus, bench.clock)
        bench.vitals.set_mode(bench.clock.now_ns(), "safe-stop", "camera is lost")
        bench.vitals.ask_for_stop(bench.clock.now_ns(), True)
        bench.step()
        assert bench.node._guard._stop_asked == "camera is lost"
        bench.vitals.ask_for_stop(bench.clock.now_ns(), False)
        bench.step()
        assert bench.node._guard._stop_asked == ""
        vehicle.close()
