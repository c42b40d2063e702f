"""What the doctor says of the CAN channels of a profile."""

from __future__ import annotations

from pathlib import Path

from cardan.firmware_bridge.can_checks import channels
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.doctor.check import Subject, Verdict
from cardan.runtime.profile import CanChannelSettings, Profile


def examined(tmp_path: Path, **can: CanChannelSettings) -> Subject:
    return Subject(
        profile=Profile(name="test", can=can), plan=None, findings=[], data_dir=tmp_path, clock=MonotonicClock()
    )


def test_a_channel_whose_interface_is_not_there_fails_and_says_what_to_look_at(tmp_path: Path) -> None:
    absent = CanChannelSettings(interface="socketcan", channel="can_not_here")
    result = channels(examined(tmp_path, vehicle=absent))
    assert result.verdict is Verdict.FAIL
    assert result.text == "vehicle: there is no CAN interface can_not_here"
    assert "plugged in" in result.fix


def test_a_bench_bus_needs_nothing_of_the_computer(tmp_path: Path) -> None:
    result = channels(examined(tmp_path, vehicle=CanChannelSettings()))
    assert result.verdict is Verdict.PASS
    assert result.text == "vehicle on udp_multicast 239.74.163.2"
