"""The simulated backend: no network runs, declared times pass on the clock it is given, and faults come as declared.

On a fake clock hours of scheduling are tested in seconds; on the real one a host meets hangs, crashes and bad numbers.
"""

from __future__ import annotations

import math
import os
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardan.engines.backends.backend import BackendError, StickyError, require_fit
from cardan.engines.backends.options import Fault, SimOptions
from cardan.engines.model import Model
from cardan.engines.tensors import Tensor
from cardan.runtime.clock import Clock, ns

CRASH_EXIT = 139
"""As a shell reports a segmentation fault, which is how TensorRT itself crashes."""


class Sim:
    """Declared run times instead of networks."""

    name = "sim"
    builds = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def version(self) -> str:
        return "1"

    def load(self, model: Model, content: bytes) -> SimSession:
        """content: anything; it is not looked at."""
        return SimSession(model, self._clock)


class SimSession:
    """Answers the middle of each output's range, after the declared time."""

    def __init__(self, model: Model, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._times = RunTimes(model.sim)
        self._faults = {fault.run: fault for fault in model.sim.faults}
        self._runs = 0
        self._end_ns: int | None = None
        self.inputs = {name: tensor.empty() for name, tensor in model.inputs.items()}
        self.outputs = {name: tensor.empty() for name, tensor in model.outputs.items()}

    def bind(self, name: str, array: NDArray[Any]) -> None:
        require_fit(self._model, name, array)
        self.inputs[name] = array

    def start(self) -> None:
        self._runs += 1
        fault = self._faults.get(self._runs)
        lasts_ns = self._times.next_ns() * (self._model.sim.slow_factor if fault and fault.kind == "slow" else 1)
        if fault is not None and fault.kind == "hang":
            lasts_ns = ns(fault.seconds)
        self._end_ns = self._clock.now_ns() + round(lasts_ns)

    def finish(self) -> None:
        if self._end_ns is None:
            raise BackendError(f'model "{self._model.name}": nothing was started', hint="call start before finish")
        self._clock.sleep_until_ns(self._end_ns)
        self._end_ns = None
        fault = self._faults.get(self._runs)
        if fault is not None:
            self._fail(fault)
        for name, tensor in self._model.outputs.items():
            self.outputs[name][...] = _answer(tensor, fault.kind if fault is not None else "")

    def run(self) -> None:
        self.start()
        self.finish()

    def close(self) -> None:
        self._end_ns = None

    def _fail(self, fault: Fault) -> None:
        where = f'model "{self._model.name}" in run {self._runs}, as its [sim] table declares'
        if fault.kind == "crash":
            os._exit(CRASH_EXIT)
        if fault.kind == "error":
            raise BackendError(f"a failure of {where}")
        if fault.kind == "sticky":
            raise StickyError(f"the accelerator was lost by {where}")


class RunTimes:
    """How long the runs of a network last, in nanoseconds, one after the other; the same for the same seed."""

    def __init__(self, options: SimOptions) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self._log_median = math.log(options.median_ms * 1e6)

    def next_ns(self) -> int:
        drawn_ns = self._random.lognormvariate(self._log_median, self._options.sigma)
        slow = self._random.random() < self._options.slow_share
        return round(drawn_ns * (self._options.slow_factor if slow else 1.0))


def _answer(tensor: Tensor, fault: str) -> float:
    """The number that fills an output: the middle of its range, or one that validation must stop."""
    low = tensor.minimum if tensor.minimum is not None else 0.0
    high = tensor.maximum if tensor.maximum is not None else max(low, 0.0)
    if fault == "nan" and np.dtype(tensor.dtype).kind == "f":
        return math.nan
    if fault == "range" and tensor.maximum is not None:
        return high + 1.0
    return (low + high) / 2.0
