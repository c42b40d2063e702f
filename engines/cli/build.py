"""`cardan engine build`: plans of models, each built in a process of its own."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass

from cardan.engines.backends.backend import BackendError
from cardan.engines.backends.find import find_backend
from cardan.engines.build.build import Build
from cardan.engines.build.cache import NO_PLAN, PlanCache
from cardan.engines.build.messages import BuildOrder, Cancelled, Done, Progress
from cardan.engines.build.orders import order_for
from cardan.engines.build.recipe import recipe_of
from cardan.engines.cli.common import open_cache, print_json, read_models, state_of
from cardan.engines.cuda.probe import Probed, probe_gpu
from cardan.engines.model import BackendName, ModelFile
from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.clock import Clock, MonotonicClock

FAILED, BUILT, KEPT, SKIPPED, CANCELLED = "failed", "built", "is there", "skipped", "cancelled"
ROLES = {FAILED: "bad", BUILT: "good", KEPT: "good", SKIPPED: "warning", CANCELLED: "warning"}


@dataclass(frozen=True)
class Result:
    """What became of one plan."""

    model: str
    backend: str
    result: str
    said: str
    key: str = ""


def run(arguments: argparse.Namespace) -> int:
    """Build each plan that is missing; 1 when one failed, 5 when the person gave up."""
    clock = MonotonicClock()
    cache = open_cache(arguments.data_dir, clock)
    probed = probe_gpu()
    results: list[Result] = []
    for file in read_models(arguments.models):
        for backend in _backends(file, arguments):
            result = _build_one(file, backend, probed, cache, clock, arguments)
            results.append(result)
            if not arguments.json:
                _show(result)
            if result.result == CANCELLED:
                break
    if arguments.json:
        print_json({"schema_version": 1, "plans": [asdict(result) for result in results]})
    return int(_exit(results))


def _backends(file: ModelFile, arguments: argparse.Namespace) -> list[BackendName]:
    if arguments.backend:
        return [arguments.backend]
    if arguments.target:
        return ["tensorrt_rtx"]
    return [backend for backend in file.model.backends if backend != "sim"]


def _build_one(
    file: ModelFile,
    backend: BackendName,
    probed: Probed,
    cache: PlanCache,
    clock: Clock,
    arguments: argparse.Namespace,
) -> Result:
    name = file.model.name
    asked = bool(arguments.backend or arguments.target)
    try:
        order = order_for(file, backend, probed, cache, arguments.target)
        recipe = recipe_of(file.model, find_backend(backend, clock), order.accelerator)
    except BackendError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return Result(name, backend, FAILED if asked else SKIPPED, f"{error.message}{hint}")
    found = cache.find([recipe])
    if found.sidecar is not None and not arguments.force:
        return Result(name, backend, KEPT, state_of(found.sidecar), recipe.key)
    if found.reason not in ("", NO_PLAN) and not arguments.json:
        write_lines([Line(safe_text(found.reason), "warning")], sys.stderr)
    return _carry_out(name, order, clock, arguments)


def _carry_out(name: str, order: BuildOrder, clock: Clock, arguments: argparse.Namespace) -> Result:
    build = Build(order, clock, verbose=arguments.verbose)
    progress = _Shown(f"{name} for {order.backend}", sys.stderr.isatty())
    try:
        try:
            ended = build.wait(progress.show)
        except KeyboardInterrupt:
            build.cancel()
            ended = build.wait(progress.show)
    finally:
        progress.clear()
        build.close()
    if isinstance(ended, Done):
        what = "not judged: it cannot run here" if ended.accuracy is None else _judged(ended)
        said = f"{units.size(ended.plan_bytes)} in {units.duration(ended.build_s)}, {what}"
        return Result(name, order.backend, FAILED if ended.problems else BUILT, said, ended.key)
    if isinstance(ended, Cancelled):
        return Result(name, order.backend, CANCELLED, "nothing was kept")
    hint = f" ({ended.hint})" if ended.hint else ""
    return Result(name, order.backend, FAILED, f"{ended.message}{hint}")


def _judged(done: Done) -> str:
    worst = max((done.accuracy or {}).values(), default=0.0)
    return "; ".join(done.problems) if done.problems else f"deviates {worst:.2g} from FP32"


class _Shown:
    """Progress on a terminal: one line that is written over; elsewhere nothing."""

    def __init__(self, what: str, terminal: bool) -> None:
        self._what = what
        self._terminal = terminal

    def show(self, progress: Progress) -> None:
        if self._terminal:
            count = f" {progress.done}/{progress.steps}" if progress.steps else ""
            sys.stderr.write(f"\r\x1b[K{self._what}: {safe_text(progress.phase)[:60]}{count}")
            sys.stderr.flush()

    def clear(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _show(result: Result) -> None:
    text = f"{result.model} for {result.backend}: {result.result}: {result.said}"
    write_lines([Line(safe_text(text), ROLES[result.result])], sys.stdout)


def _exit(results: list[Result]) -> Exit:
    states = {result.result for result in results}
    if CANCELLED in states:
        return Exit.INTERRUPTED
    if FAILED in states or not states & {BUILT, KEPT}:
        return Exit.FINDING
    return Exit.HEALTHY
