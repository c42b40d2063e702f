"""`cardan engine list`: the plans in the cache."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.engines.build.cache import Sidecar
from cardan.engines.cli.common import open_cache, print_json, state_of
from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, cut, safe_text, table, write_lines
from cardan.runtime.clock import MonotonicClock

HEAD = ("model", "backend", "for", "size", "built in", "against FP32", "key")


def run(arguments: argparse.Namespace) -> int:
    """Print them; 1 when a file of the cache is damaged, 3 when there is no plan."""
    cache = open_cache(arguments.data_dir, MonotonicClock())
    sidecars, wrong = cache.sidecars(), cache.verify()
    if arguments.json:
        plans = [msgspec.to_builtins(sidecar) | {"key": sidecar.recipe.key} for sidecar in sidecars]
        print_json({"schema_version": 1, "folder": str(cache.folder), "plans": plans, "damaged": wrong})
    else:
        write_lines(_lines(sidecars, wrong, str(cache.folder)), sys.stdout)
    if wrong:
        return int(Exit.FINDING)
    return int(Exit.HEALTHY if sidecars else Exit.UNREACHABLE)


def _lines(sidecars: list[Sidecar], wrong: dict[str, str], folder: str) -> list[Line]:
    damaged = [Line(safe_text(f"{key}: {reason}"), "bad") for key, reason in wrong.items()]
    if not sidecars:
        return [Line(safe_text(f"no plans in {folder}"), "warning"), *damaged]
    head, *rows = table(HEAD, [_row(sidecar) for sidecar in sidecars], "<<<>><<")
    roles = ["plain" if sidecar.accepted else "warning" for sidecar in sidecars]
    return [Line(head, "title"), *(Line(text, role) for text, role in zip(rows, roles, strict=True)), *damaged]


def _row(sidecar: Sidecar) -> tuple[str, ...]:
    recipe = sidecar.recipe
    return (
        cut(sidecar.model, 24),
        cut(f"{recipe.backend} {recipe.version}", 28),
        cut(str(recipe.accelerator), 36),
        units.size(sidecar.plan_bytes),
        units.duration(sidecar.build_s),
        state_of(sidecar),
        recipe.key[:12],
    )
