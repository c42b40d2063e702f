"""What the author of an engine writes: how a message fills a network's inputs, and what its outputs mean.

    class SignEngine(Engine[CameraFrame, Signs]):
        takes, gives = CameraFrame, Signs

        def fill(self, frame, inputs):
            resize_into(frame.image, inputs["image"][0])

        def data(self, outputs):
            return {"limit_mps": float(outputs["limit"][0])}

Everything else is the host's: when it runs, whether its outputs are data at all, what is published when they are not.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, Generic, TypeVar

from cardan.engines.backends.backend import Arrays
from cardan.engines.model import Model
from cardan.runtime.errors import NodeError
from cardan.runtime.messages import EngineResult, Message
from cardan.runtime.node import NodeConfig

Taken = TypeVar("Taken", bound=Message)
Given = TypeVar("Given", bound=EngineResult)


class EngineConfig(NodeConfig, frozen=True):
    """Base of an engine's settings: the manifest's `[engines.NAME.config]`, checked before anything starts."""


class Engine(Generic[Taken, Given]):
    """Subclass it. One instance belongs to one loaded network; another network gets another."""

    takes: ClassVar[type[Message]]
    """Type of the frames."""
    gives: ClassVar[type[EngineResult]]
    """Type of the results. Each field that it adds to EngineResult has a default: it stands where there is no data."""
    max_age_s: ClassVar[float] = 0.5
    """Frames that are older make an invalid result."""

    def __init__(self, model: Model, config: EngineConfig) -> None:
        """Check that `model` is a network for this engine; ConfigError says what it lacks."""
        self.model = model
        self.config = config
        self.form: Hashable = None
        """Everything that `fill` goes by besides the frame. Of engines with one `fill`, equal forms and one `max_age_s`
        only one fills its inputs from a frame, and the others get copies. None: each fills its own."""

    def fill(self, frame: Taken, inputs: Arrays) -> None:
        """Fill the network's bound inputs in place. `frame` may be gone as soon as this returns."""
        raise self._lacks("fill(self, frame, inputs) -> None")

    def implausible_or_none(self, outputs: Arrays) -> str | None:
        """Why nothing in the world looks like these outputs, or None. They are finite and within their ranges."""
        return None

    def data(self, outputs: Arrays) -> dict[str, Any]:
        """The fields of the result that come from the outputs; never asked for outputs that are no data."""
        raise self._lacks("data(self, outputs) -> dict[str, Any]")

    def _lacks(self, method: str) -> NodeError:
        return NodeError(f"{type(self).__name__} has no {method.partition('(')[0]}", hint=f"write `def {method}`")
