"""The road engine: from a camera frame to lane lines and lead, in metres."""

from __future__ import annotations

import msgspec

from cardan.engines.backends.backend import Session
from cardan.engines.backends.onnxruntime import OnnxRuntime
from cardan.engines.model import Model, read_model
from cardan.engines.plausible import SEEN, implausible_or_none
from cardan.engines.preprocess import Crop, Shrinker
from cardan.engines.validate import violation_or_none
from cardan.engines.weights import read_weights
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CameraFrame, RoadView
from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output

TENSORS = ("left_y", "right_y", "lane_probability", "lead_probability", "lead_gap", "lead_y")


class RoadEngineConfig(NodeConfig, frozen=True):
    """Settings of the road engine."""

    model: str = "road_net"
    """A shipped model, or a .toml file relative to the manifest. The shipped one knows synthetic scenes only."""


class RoadEngine(Node):
    """Runs the newest camera frame through the network; what is invalid is sent as a status, never as data.

    The lists of a view are empty also while no lane is seen, and a lead that is not seen has gap and side 0.
    """

    config: RoadEngineConfig
    stepped_by = "frame"
    frame = Input(CameraFrame, max_age_s=0.5)
    view = Output(RoadView)
    inference = Metric("s")
    invalid = Metric("count")

    def open(self) -> None:
        file = read_model(self.config.model, folder=self.context.manifest_dir)
        self._model = file.model
        self._hash = file.short_hash
        self._x_m, crop = _contract(file.model)
        self._session: Session = OnnxRuntime().load(file.model, read_weights(file))
        self._shrinker = Shrinker(crop)
        self._last_frame_id = -1
        self._session.run()

    def step(self) -> None:
        if not self.frame.new:
            return
        frame = self.frame.value
        dropped = max(0, frame.frame_id - self._last_frame_id - 1) if self._last_frame_id >= 0 else 0
        self._last_frame_id = frame.frame_id
        self._shrinker.shrink(frame.image, self._session.inputs["image"][0])
        start_ns = self.clock.now_ns()
        intact = self.frame.intact
        if intact:
            self._session.run()
        end_ns = self.clock.now_ns()
        self.inference.observe((end_ns - start_ns) / 1e9)
        problem = self._problem_or_none() if intact else "the frame was overwritten"
        self._publish(frame.frame_id, start_ns, end_ns, dropped, problem)

    def _problem_or_none(self) -> str | None:
        outputs = self._session.outputs
        return violation_or_none(outputs, self._model.outputs) or implausible_or_none(outputs)

    def _publish(self, frame_id: int, start_ns: int, end_ns: int, dropped: int, problem: str | None) -> None:
        late = end_ns - self.frame.origin_ns > self._model.deadline_ns
        status = "invalid" if problem else "late" if late else "ok"
        view = RoadView(
            status=status,
            frame_id=frame_id,
            model=self._hash,
            start_ns=start_ns,
            end_ns=end_ns,
            x_m=(),
            left_y_m=(),
            right_y_m=(),
            lane_probability=0.0,
            lead_probability=0.0,
            lead_gap_m=0.0,
            lead_y_m=0.0,
            dropped=dropped,
        )
        if problem:
            self.invalid.observe(1)
            self.log.warning("frame %d: %s", frame_id, problem)
            self.view.send(view, valid=False)
            return
        self.view.send(self._with_data(view))

    def _with_data(self, view: RoadView) -> RoadView:
        outputs = self._session.outputs
        lane, lead = float(outputs["lane_probability"][0, 0]), float(outputs["lead_probability"][0, 0])
        sees_lane = lane >= SEEN
        return msgspec.structs.replace(
            view,
            x_m=self._x_m if sees_lane else (),
            left_y_m=tuple(outputs["left_y"][0].tolist()) if sees_lane else (),
            right_y_m=tuple(outputs["right_y"][0].tolist()) if sees_lane else (),
            lane_probability=lane,
            lead_probability=lead,
            lead_gap_m=float(outputs["lead_gap"][0, 0]) if lead >= SEEN else 0.0,
            lead_y_m=float(outputs["lead_y"][0, 0]) if lead >= SEEN else 0.0,
        )

    def close(self) -> None:
        session: Session | None = self.__dict__.pop("_session", None)
        if session is not None:
            session.close()


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
