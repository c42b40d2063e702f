"""Backends by name, each imported only when it is asked for."""

from __future__ import annotations

from cardan.engines.backends.backend import Backend
from cardan.engines.model import BackendName
from cardan.runtime.clock import Clock


class Backends:
    """The backends of one process, each made once: what its networks share lasts as long as they do."""

    def __init__(self) -> None:
        self._made: dict[BackendName, Backend] = {}

    def find(self, name: BackendName, clock: Clock) -> Backend:
        """As `find_backend`, always the same."""
        if name not in self._made:
            self._made[name] = find_backend(name, clock)
        return self._made[name]


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
