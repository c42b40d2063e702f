"""The computer is looked at as the kernel tells it; what is not told is None, and what is wrong has a code."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.faults import find_fault
from cardan.runtime.log.record import NOTE
from cardan.runtime.machine.health import MachineHealth, look
from cardan.runtime.machine.judge import troubles
from cardan.runtime.machine.node import Machine, MachineConfig
from cardan.runtime.testing import Bench


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image of a computer."""
    root = tmp_path / "root"
    put(root, "proc/meminfo", "MemTotal:        8000000 kB\nMemAvailable:    1024000 kB")
    put(root, "proc/vmstat", "nr_free_pages 1\noom_kill 3")
    put(root, "proc/pressure/cpu", "some avg10=12.50 avg60=1.00 avg300=0.10 total=5\nfull avg10=99.00 avg60=0 total=0")
    for zone, name, temp in ((0, "gpu-thermal", "88000"), (1, "cpu-thermal", "71000")):
        put(root, f"sys/class/thermal/thermal_zone{zone}/type", name)
        put(root, f"sys/class/thermal/thermal_zone{zone}/temp", temp)
        put(root, f"sys/class/thermal/thermal_zone{zone}/trip_point_0_type", "critical")
        put(root, f"sys/class/thermal/thermal_zone{zone}/trip_point_0_temp", "100000")
    for cpu, count, clock in ((0, 4, 900_000), (1, 3, 1_800_000)):
        put(root, f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count", str(count))
        put(root, f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", str(clock))
        put(root, f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq", "1800000")
    return root


def test_what_the_kernel_tells(root: Path, tmp_path: Path) -> None:
    health = look(tmp_path, root)
    assert (health.temp_zone, health.temp_c, health.temp_limit_c) == ("gpu-thermal", 88.0, 100.0)
    assert (health.memory_available_mib, health.memory_total_mib, health.memory_kills) == (1000.0, 7812.5, 3)
    assert (health.throttled, health.clock_share) == (7, 0.5)
    assert (health.cpu_pressure, health.memory_pressure) == (12.5, None)
    assert health.disk_free_mib is not None and health.disk_free_mib > 0


def test_a_computer_that_tells_nothing_is_not_well_nor_unwell(tmp_path: Path) -> None:
    health = look(tmp_path / "no folder", tmp_path / "nothing")
    assert health == MachineHealth()
    assert troubles(health, health) == []


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [
        ({}, {"temp_c": 96.0, "temp_limit_c": 100.0, "temp_zone": "cpu"}, "machine-hot"),
        ({"throttled": 3}, {"throttled": 4}, "machine-throttled"),
        ({"memory_kills": 0}, {"memory_kills": 1}, "machine-out-of-memory"),
        ({}, {"memory_available_mib": 100.0, "memory_total_mib": 8000.0}, "machine-memory-short"),
        ({}, {"memory_pressure": 80.0}, "machine-memory-short"),
        ({}, {"disk_free_mib": 10.0}, "machine-disk-full"),
    ],
)
def test_each_trouble_has_a_code_of_the_table(before: dict[str, float], now: dict[str, float], code: str) -> None:
    (found,) = troubles(MachineHealth(**now), MachineHealth(**before))  # type: ignore[arg-type]  # test data
    assert found.code == code and find_fault(code) is not None


def test_the_worst_comes_first() -> None:
    now = MachineHealth(memory_kills=2, throttled=9, temp_c=99.0, temp_limit_c=100.0)
    found = [trouble.code for trouble in troubles(now, MachineHealth(memory_kills=1, throttled=1))]
    assert found == ["machine-out-of-memory", "machine-throttled", "machine-hot"]


def test_the_node_publishes_each_second_and_says_what_is_wrong(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    found = MachineHealth()
    monkeypatch.setattr("cardan.runtime.machine.node.look", lambda folder, root: found)
    with Bench(Machine, config=MachineConfig()) as bench:
        for _ in range(12):
            bench.step()
        assert sum("cardan_code" in vars(record) for record in caplog.records) == 2, "one sample in ten seconds"
        found = MachineHealth(temp_c=104.0, temp_limit_c=105.0, temp_zone="cpu")
        bench.step()
    codes = [getattr(record, "cardan_code", NOTE) for record in caplog.records]
    assert codes[-2:] == ["machine-sample", "machine-hot"], "a sample at once, and the condition"
