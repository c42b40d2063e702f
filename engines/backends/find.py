"""Backends by name, each imported only when it is asked for."""

from __future__ import annotations

from cardan.engines.backends.backend import Backend
from cardan.engines.model import BackendName
from cardan.runtime.clock import Clock


def find_backend(name: BackendName, clock: Clock) -> Backend:
    """The backend `name`. Whether its library is there is seen in `version`. clock: only the simulated one needs it."""
    if name == "sim":
        from cardan.engines.backends.sim import Sim

        return Sim(clock)
    if name != "onnxruntime":
        from cardan.engines.backends.tensorrt import Tensorrt

        return Tensorrt(name)
    from cardan.engines.backends.onnxruntime import OnnxRuntime

    return OnnxRuntime()
