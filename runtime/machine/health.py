"""One look at the computer: the kernel's own numbers, each None where this computer does not tell.

Sources: /proc/meminfo and /proc/vmstat (proc(5)), /proc/pressure (Documentation/accounting/psi.rst), thermal zones
(Documentation/ABI/testing/sysfs-class-thermal), thermal_throttle and cpufreq of each processor, statvfs(3).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cardan.runtime.messages import Message
from cardan.runtime.small_file import small_text

PRESSURES = ("cpu", "memory", "io")
CRITICAL_C = 105.0
"""Of a zone that names no critical temperature."""


class MachineHealth(Message, frozen=True, kw_only=True):
    """The computer at one moment."""

    temp_c: float | None = None
    """Of the zone that is nearest to its critical temperature."""
    temp_limit_c: float | None = None
    temp_zone: str = ""
    throttled: int | None = None
    """How often the processor was slowed down for heat, since it was switched on."""
    clock_share: float | None = None
    """Clock of the slowest processor as a share of its highest."""
    memory_available_mib: float | None = None
    memory_total_mib: float | None = None
    memory_kills: int | None = None
    """Processes that the kernel ended for memory, since it was switched on."""
    cpu_pressure: float | None = None
    """Percent of the last 10 s in which some task waited for a processor."""
    memory_pressure: float | None = None
    io_pressure: float | None = None
    disk_free_mib: float | None = None
    """Of the data folder."""
    disk_total_mib: float | None = None


def look(data_dir: Path, root: Path = Path("/")) -> MachineHealth:
    """The computer now. Reads small files of the kernel; root: below which they lie."""
    zone = nearest_zone(root)
    memory = _numbers(small_text(root / "proc/meminfo").splitlines())
    kernel = _numbers(small_text(root / "proc/vmstat").splitlines())
    pressure = {name: _pressure(root / "proc/pressure" / name) for name in PRESSURES}
    free_mib, total_mib = _disk(data_dir)
    return MachineHealth(
        temp_c=zone[1] if zone else None,
        temp_limit_c=zone[2] if zone else None,
        temp_zone=zone[0] if zone else "",
        throttled=_throttled(root),
        clock_share=_clock_share(root),
        memory_available_mib=_mib(memory.get("MemAvailable")),
        memory_total_mib=_mib(memory.get("MemTotal")),
        memory_kills=kernel.get("oom_kill"),
        cpu_pressure=pressure["cpu"],
        memory_pressure=pressure["memory"],
        io_pressure=pressure["io"],
        disk_free_mib=free_mib,
        disk_total_mib=total_mib,
    )


def nearest_zone(root: Path = Path("/")) -> tuple[str, float, float] | None:
    """Name, temperature and critical temperature (degrees Celsius) of the zone with the least room, or None."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    readings = [reading for zone in zones if (reading := _zone(zone)) is not None]
    return min(readings, key=lambda reading: reading[2] - reading[1], default=None)


def _zone(zone: Path) -> tuple[str, float, float] | None:
    raw = _int(small_text(zone / "temp"))
    if raw is None:
        return None
    kinds = [path for path in zone.glob("trip_point_*_type") if small_text(path) == "critical"]
    trips = [_int(small_text(path.with_name(path.name.replace("_type", "_temp")))) for path in kinds]
    limits = [trip / 1000 for trip in trips if trip is not None and trip > 0]
    return small_text(zone / "type") or zone.name, raw / 1000, min(limits, default=CRITICAL_C)


def _throttled(root: Path) -> int | None:
    return _sum((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))


def _sum(paths: Iterable[Path]) -> int | None:
    counts = [count for path in paths if (count := _int(small_text(path))) is not None]
    return sum(counts) if counts else None


def _clock_share(root: Path) -> float | None:
    shares = []
    for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"):
        now, highest = _int(small_text(folder / "scaling_cur_freq")), _int(small_text(folder / "cpuinfo_max_freq"))
        if now is not None and highest:
            shares.append(now / highest)
    return round(min(shares), 3) if shares else None


def _pressure(path: Path) -> float | None:
    """`some avg10=1.23 avg60=...`"""
    for line in small_text(path).splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "some":
            value = rest.partition("avg10=")[2].partition(" ")[0]
            return float(value) if value.replace(".", "", 1).isdecimal() else None
    return None


def _disk(folder: Path) -> tuple[float | None, float | None]:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None, None
    return round(status.f_bavail * status.f_frsize / 2**20, 1), round(status.f_blocks * status.f_frsize / 2**20, 1)


def _numbers(lines: list[str]) -> dict[str, int]:
    """`Name: 123 kB` or `name 123`, by name."""
    found = {}
    for line in lines:
        words = line.replace(":", " ").split()
        number = _int(words[1]) if len(words) > 1 else None
        if number is not None:
            found[words[0]] = number
    return found


def _mib(kib: int | None) -> float | None:
    return None if kib is None else round(kib / 1024, 1)


def _int(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 20 else None
