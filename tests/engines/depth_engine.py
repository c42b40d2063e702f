"""An engine for tests of the host, as a user would write one beside the manifest: one number for each picture."""

from typing import Any

from cardan.engines.backends.backend import Arrays
from cardan.engines.engine import Engine, EngineConfig
from cardan.runtime.messages import CameraFrame, EngineResult


class Depth(EngineResult, frozen=True, kw_only=True):
    """How far something is."""

    distance_m: float = 0.0


class DepthConfig(EngineConfig, frozen=True):
    """Settings."""

    scale: float = 1.0


class DepthEngine(Engine[CameraFrame, Depth]):
    """The first pixel goes in, one number comes out."""

    takes, gives = CameraFrame, Depth
    config: DepthConfig

    def fill(self, frame: CameraFrame, inputs: Arrays) -> None:
        inputs["pixel"][0] = frame.image[0, 0, 0]

    def data(self, outputs: Arrays) -> dict[str, Any]:
        return {"distance_m": self.config.scale * float(outputs["depth"][0])}


class Needy(EngineResult, frozen=True, kw_only=True):
    """Cannot be sent without data."""

    distance_m: float


class NeedyEngine(DepthEngine):
    """Gives what a host cannot send."""

    gives = Needy  # type: ignore[assignment]  # that is what is wrong with it


class NoEngine:
    """Something else."""
