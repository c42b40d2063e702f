"""The child that builds one plan and may die of it: `python -m cardan.engines.build.child`.

Builders take minutes and gigabytes, leak, and crash; none of that may happen in a process that drives. The order comes
as a line on standard input; whatever comes after it, its end included, cancels. What is said goes to standard output.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from cardan.engines.backends.backend import Backend
from cardan.engines.backends.find import find_backend
from cardan.engines.build.cache import Found, PlanCache, Sidecar
from cardan.engines.build.messages import BuildOrder, Cancelled, Done, Failed, Progress, Said
from cardan.engines.build.recipe import recipe_of
from cardan.engines.frames import frames_of, read_expected_or_none
from cardan.engines.gate import deviations, reference_outputs, session_outputs, too_far
from cardan.engines.model import ModelFile, read_model
from cardan.engines.weights import read_weights
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import CardanError
from cardan.runtime.readable import readable

NICENESS = 10
"""The vehicle drives on its fallback meanwhile."""


class Child:
    """One order, carried out. said: where lines go; heard: file descriptor of what cancels."""

    def __init__(self, order: BuildOrder, said: BinaryIO, heard: int) -> None:
        self._order = order
        self._said = said
        self._heard = heard
        self._clock = MonotonicClock()
        self._cache = PlanCache(Path(order.cache), self._clock, budget_bytes=order.budget_bytes)

    def work(self) -> Said:
        """Build, judge, keep; the last thing to say. CardanError when there is no plan."""
        order = self._order
        file = read_model(order.model, folder=Path())
        weights = read_weights(file)
        backend = find_backend(order.backend, self._clock)  # type: ignore[arg-type]  # checked by whoever ordered
        recipe = recipe_of(file.model, backend, order.accelerator)
        if order.verify_key:
            return self._judge_stored(backend, file, weights, order.verify_key)
        begin_ns = self._clock.now_ns()
        content = self._build(backend, file, weights)
        if content is None:
            return Cancelled()
        build_s = (self._clock.now_ns() - begin_ns) / 1e9
        sidecar = Sidecar(
            recipe=recipe,
            model=file.model.name,
            plan_sha256="",
            plan_bytes=len(content),
            built_wall_ns=self._clock.wall_ns(),
            build_s=build_s,
        )
        if self._cancelled():
            return Cancelled()
        problems: list[str] = []
        if self._runs_here():
            self.say(Progress(phase="judging against FP32", done=0, steps=1))
            accuracy = judge(backend, file, weights, content)
            problems = too_far(file.model, accuracy)
            sidecar = msgspec.structs.replace(sidecar, accuracy=accuracy, accepted=not problems)
        kept = self._cache.store(sidecar, content)
        return Done(
            key=recipe.key,
            plan_bytes=kept.plan_bytes,
            build_s=build_s,
            accuracy=kept.accuracy,
            problems=tuple(problems),
        )

    def _judge_stored(self, backend: Backend, file: ModelFile, weights: bytes, key: str) -> Said:
        sidecar = next((one for one in self._cache.sidecars() if one.recipe.key == key), None)
        found = self._cache.find([sidecar.recipe]) if sidecar is not None else Found(reason=f"there is no plan {key}")
        if found.sidecar is None:
            return Failed(message=found.reason, hint="build it again: cardan engine build")
        self.say(Progress(phase="judging against FP32", done=0, steps=1))
        accuracy = judge(backend, file, weights, found.content)
        problems = too_far(file.model, accuracy)
        self._cache.judge(key, accuracy, accepted=not problems)
        return Done(
            key=key,
            plan_bytes=found.sidecar.plan_bytes,
            build_s=found.sidecar.build_s,
            accuracy=accuracy,
            problems=tuple(problems),
        )

    def say(self, what: Said) -> None:
        """One line to whoever ordered."""
        self._said.write(msgspec.json.encode(what) + b"\n")
        self._said.flush()

    def _build(self, backend: Backend, file: ModelFile, weights: bytes) -> bytes | None:
        if backend.builds:
            from cardan.engines.backends.trt_library import build_plan

            log = logging.getLogger("cardan.engines.build")
            return build_plan(backend.name, file.model, weights, self._order.targets, self._step, log)
        from cardan.engines.backends.onnxruntime import optimised

        self.say(Progress(phase="optimising for this CPU", done=0, steps=1))
        return optimised(weights, file.model.onnxruntime.threads)

    def _step(self, phase: str, done: int, steps: int) -> bool:
        """Tell of it; False when the build is to be given up."""
        self.say(Progress(phase=phase, done=done, steps=steps))
        return not self._cancelled()

    def _cancelled(self) -> bool:
        return bool(readable([self._heard], 0.0))

    def _runs_here(self) -> bool:
        """False for a plan of another GPU than the one of this computer."""
        if self._order.accelerator.kind == "cpu":
            return True
        from cardan.engines.cuda.probe import probe_gpu

        gpu = probe_gpu().gpu
        return gpu is not None and gpu.capability == self._order.accelerator.capability


def judge(backend: Backend, file: ModelFile, weights: bytes, content: bytes) -> dict[str, float]:
    """Deviation of each output of a plan from FP32, on the model's stored frames."""
    frames = frames_of(file)
    stored = file.model.accuracy.frames
    expected = read_expected_or_none(file.path.parent / stored) if stored else None
    session = backend.load(file.model, content)
    found = deviations(session_outputs(session, frames), expected or reference_outputs(weights, frames))
    session.close()
    return found


def main() -> int:
    """Carry out the order on standard input."""
    said = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library may print; only we speak on that pipe
    os.nice(NICENESS)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    line = _read_line(sys.stdin.fileno())
    child = Child(msgspec.json.decode(line, type=BuildOrder), said, sys.stdin.fileno())
    try:
        last = child.work()
    except CardanError as error:
        last = Failed(message=error.message, hint=error.hint)
    try:
        child.say(last)
    except BrokenPipeError:
        return 1
    return 0


def _read_line(descriptor: int) -> bytes:
    """One line, not a byte more: what follows must stay readable for `select`."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return line


if __name__ == "__main__":
    sys.exit(main())
