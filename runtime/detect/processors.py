"""Processors of a computer, and the core groups that a vehicle needs."""

from __future__ import annotations

from typing import Literal

from cardan.runtime.detect.tree import Tree, core_numbers

CPU = "/sys/devices/system/cpu"
Group = list[int] | Literal["all"]
LEAST_TO_DIVIDE = 4
"""With fewer processors every group has all of them."""


def online(tree: Tree) -> list[int]:
    """The numbers of the processors that are online."""
    return core_numbers(tree.text(f"{CPU}/online"))


def core_groups(tree: Tree) -> dict[str, Group]:
    """`control`, `perception` and `background`.

    Control gets the processors that were isolated at boot, else the last of the fastest ones, with what shares its
    core; background the first quarter, but two where there are more, where interrupts go; perception the rest.
    """
    processors = online(tree)
    if len(processors) < LEAST_TO_DIVIDE:
        return {"control": "all", "perception": "all", "background": "all"}
    control = _for_control(tree, processors)
    rest = [number for number in processors if number not in control]
    background = max(2 if len(rest) > 2 else 1, len(rest) // 4)
    return {"control": control, "perception": rest[background:], "background": rest[:background]}


def _for_control(tree: Tree, processors: list[int]) -> list[int]:
    isolated = [number for number in core_numbers(tree.text(f"{CPU}/isolated")) if number in processors]
    if isolated and len(isolated) <= len(processors) - 2:
        return isolated
    fastest = max(_speed(tree, number) for number in processors)
    chosen = max(number for number in processors if _speed(tree, number) == fastest)
    siblings = core_numbers(tree.text(f"{CPU}/cpu{chosen}/topology/thread_siblings_list"))
    return sorted({chosen, *(number for number in siblings if number in processors)})


def _speed(tree: Tree, number: int) -> int:
    """Of a computer with processors of two kinds, the faster ones have the larger number; else all are the same."""
    capacity = tree.number(f"{CPU}/cpu{number}/cpu_capacity")
    return capacity if capacity is not None else tree.number(f"{CPU}/cpu{number}/cpufreq/cpuinfo_max_freq") or 0
