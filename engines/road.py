"""The road engine: from a camera frame to lane lines and lead, in metres."""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.engines.backends.backend import Arrays
from cardan.engines.engine import Engine, EngineConfig
from cardan.engines.model import Model
from cardan.engines.plausible import SEEN, implausible_or_none
from cardan.engines.preprocess import Crop, Shrinker
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CameraFrame, RoadView

TENSORS = ("left_y", "right_y", "lane_probability", "lead_probability", "lead_gap", "lead_y")


class RoadEngine(Engine[CameraFrame, RoadView]):
    """The lists of a view are empty also while no lane is seen, and a lead that is not seen has gap and side 0."""

    takes, gives = CameraFrame, RoadView

    def __init__(self, model: Model, config: EngineConfig) -> None:
        super().__init__(model, config)
        self._x_m, crop = _contract(model)
        self._shrinker = Shrinker(crop)
        self.form = crop

    def fill(self, frame: CameraFrame, inputs: Arrays) -> None:
        self._shrinker.shrink(frame.image, inputs["image"][0])

    def implausible_or_none(self, outputs: Arrays) -> str | None:
        return implausible_or_none(outputs)

    def data(self, outputs: Arrays) -> dict[str, Any]:
        lane, lead = float(outputs["lane_probability"][0, 0]), float(outputs["lead_probability"][0, 0])
        sees_lane = lane >= SEEN
        return {
            "x_m": self._x_m if sees_lane else (),
            "left_y_m": tuple(outputs["left_y"][0].tolist()) if sees_lane else (),
            "right_y_m": tuple(outputs["right_y"][0].tolist()) if sees_lane else (),
            "lane_probability": lane,
            "lead_probability": lead,
            "lead_gap_m": float(outputs["lead_gap"][0, 0]) if lead >= SEEN else 0.0,
            "lead_y_m": float(outputs["lead_y"][0, 0]) if lead >= SEEN else 0.0,
        }


def _contract(model: Model) -> tuple[tuple[float, ...], Crop]:
    """Stations and crop from the model's file, once they have been checked against its tensors."""
    try:
        x_m = msgspec.convert(model.meta["x_m"], tuple[float, ...], strict=False)
        crop = msgspec.convert(model.meta["crop"], Crop)
    except (KeyError, msgspec.ValidationError) as error:
        raise ConfigError(
            f'model "{model.name}" does not say its stations and crop: {error}',
            hint="write x_m and crop into its [meta] table, as engines/models/road_net.toml has them",
        ) from error
    image, left = model.inputs.get("image"), model.outputs.get("left_y")
    wanted = (1, crop.height // crop.block, crop.width // crop.block, 3)
    fits = image is not None and (image.dtype, image.shape) == ("uint8", wanted)
    if not fits or left is None or left.shape[1] != len(x_m) or any(name not in model.outputs for name in TENSORS):
        found = ", ".join(f"{name} {tensor}" for name, tensor in (model.inputs | model.outputs).items())
        raise ConfigError(
            f'model "{model.name}" is no road network: it has {found}',
            hint=f"expected an input image {wanted} of uint8, and outputs {', '.join(TENSORS)}",
        )
    return x_m, crop
