"""`cardan engine verify`: weights and plans held to what they should be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from cardan.engines.accelerator import this_cpu
from cardan.engines.build.build import Build
from cardan.engines.build.cache import PlanCache, Sidecar
from cardan.engines.build.messages import BuildOrder, Done
from cardan.engines.cli.common import open_cache, print_json, read_models
from cardan.engines.cuda.probe import Probed, probe_gpu
from cardan.engines.model import ModelFile, model_names
from cardan.engines.weights import read_weights
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.errors import ConfigError


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    what: str
    ok: bool
    said: str


def run(arguments: argparse.Namespace) -> int:
    """Check and print; 1 when something is not as it should be."""
    clock = MonotonicClock()
    cache = open_cache(arguments.data_dir, clock)
    probed = probe_gpu()
    checks = []
    for file in read_models(arguments.models or model_names()):
        for check in _checks(file, cache, probed, clock):
            checks.append(check)
            if not arguments.json:
                _show(check)
    for key, reason in cache.verify().items():
        checks.append(Check(f"plan {key[:12]}", False, reason))
        if not arguments.json:
            _show(checks[-1])
    if arguments.json:
        print_json({"schema_version": 1, "checks": [asdict(check) for check in checks]})
    return int(Exit.HEALTHY if all(check.ok for check in checks) else Exit.FINDING)


def _checks(file: ModelFile, cache: PlanCache, probed: Probed, clock: Clock) -> Iterator[Check]:
    try:
        read_weights(file)
    except ConfigError as error:
        yield Check(f"{file.model.name} weights", False, error.message)
        return
    yield Check(f"{file.model.name} weights", True, f"{file.weights} has the hash that {file.path.name} names")
    for sidecar in cache.sidecars():
        if sidecar.recipe.model_sha256 == file.model.sha256:
            yield _judge(file, sidecar, cache, probed, clock)


def _judge(file: ModelFile, sidecar: Sidecar, cache: PlanCache, probed: Probed, clock: Clock) -> Check:
    recipe = sidecar.recipe
    what = f"{file.model.name} on {recipe.backend} {recipe.version} for {recipe.accelerator}"
    if not _runs_here(sidecar, probed):
        return Check(what, True, "whole; it cannot run here, so it was not judged again")
    order = BuildOrder(
        model=str(file.path),
        backend=recipe.backend,
        accelerator=recipe.accelerator,
        cache=str(cache.folder.absolute()),
        budget_bytes=0,
        verify_key=recipe.key,
    )
    build = Build(order, clock)
    try:
        ended = build.wait()
    finally:
        build.close()
    if not isinstance(ended, Done):
        return Check(what, False, getattr(ended, "message", "was cancelled"))
    if ended.problems:
        return Check(what, False, "; ".join(ended.problems))
    return Check(what, True, f"deviates {max((ended.accuracy or {}).values(), default=0.0):.2g} from FP32")


def _runs_here(sidecar: Sidecar, probed: Probed) -> bool:
    wanted = sidecar.recipe.accelerator
    if wanted.kind == "cpu":
        return wanted == this_cpu()
    return probed.gpu is not None and wanted.capability in (probed.gpu.capability, "any")


def _show(check: Check) -> None:
    role = "good" if check.ok else "bad"
    write_lines([Line(safe_text(f"{'ok ' if check.ok else 'BAD'} {check.what}: {check.said}"), role)], sys.stdout)
