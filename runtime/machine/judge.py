"""What is wrong with the computer, from two looks at it: the worst first, with the code of its fault."""

from __future__ import annotations

from typing import NamedTuple

from cardan.runtime.machine.health import MachineHealth

HOT_C = 5.0
"""So near to the critical temperature it is too hot."""
LEAST_MEMORY_MIB = 128.0
LEAST_DISK_MIB = 256.0
STARVED = 50.0
"""Percent of time in which tasks wait for memory."""


class Trouble(NamedTuple):
    """One thing that is wrong."""

    code: str
    text: str


def troubles(now: MachineHealth, before: MachineHealth) -> list[Trouble]:
    """Everything that is wrong at this look, the worst first. before: the look before it, for what counts up."""
    found: list[Trouble] = []
    if _grew(now.memory_kills, before.memory_kills):
        found.append(Trouble("machine-out-of-memory", "the kernel ended a process because memory was short"))
    if now.memory_available_mib is not None and now.memory_available_mib < LEAST_MEMORY_MIB:
        text = f"{now.memory_available_mib:.0f} of {now.memory_total_mib or 0:.0f} MiB of memory are left"
        found.append(Trouble("machine-memory-short", text))
    if _grew(now.throttled, before.throttled):
        text = f"the processor was slowed down for heat{_at(now)}"
        found.append(Trouble("machine-throttled", text))
    if now.temp_c is not None and now.temp_limit_c is not None and now.temp_c > now.temp_limit_c - HOT_C:
        text = f"{now.temp_zone} has {now.temp_c:.0f} C, its critical temperature is {now.temp_limit_c:.0f}"
        found.append(Trouble("machine-hot", text))
    if now.disk_free_mib is not None and now.disk_free_mib < LEAST_DISK_MIB:
        found.append(Trouble("machine-disk-full", f"{now.disk_free_mib:.0f} MiB are free where data is kept"))
    if (now.memory_pressure or 0.0) > STARVED:
        text = f"in {now.memory_pressure:.0f} % of the last 10 s tasks waited for memory"
        found.append(Trouble("machine-memory-short", text))
    return found


def _grew(now: int | None, before: int | None) -> bool:
    return now is not None and before is not None and now > before


def _at(now: MachineHealth) -> str:
    return "" if now.temp_c is None else f" ({now.temp_zone} {now.temp_c:.0f} C)"
