"""The road engine: from a camera frame to lane lines and lead, in metres."""

from __future__ import annotations

import json

import msgspec

from cardan.engines.backends.ort_cpu import OrtCpuSession
from cardan.engines.backends.session import Session, describe
from cardan.engines.model import read_model
from cardan.engines.plausible import SEEN, implausible_or_none
from cardan.engines.preprocess import Crop, Shrinker
from cardan.engines.validate import Range, violation_or_none
from cardan.runtime.clock import ns
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CameraFrame, RoadView
from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output

TENSORS = ("left_y", "right_y", "lane_probability", "lead_probability", "lead_gap", "lead_y")
RANGES = {
    "left_y": Range(-60.0, 60.0),
    "right_y": Range(-60.0, 60.0),
    "lane_probability": Range(0.0, 1.0),
    "lead_probability": Range(0.0, 1.0),
    "lead_gap": Range(0.0, 500.0),
    "lead_y": Range(-60.0, 60.0),
}
"""Metres and probabilities; beyond them an output is no data."""


class RoadEngineConfig(NodeConfig, frozen=True):
    """Settings of the road engine."""

    model: str = "road_net.onnx"
    """A shipped model, or a path relative to the manifest. The shipped one knows synthetic scenes only."""
    sha256: str = ""
    """Refuse any other content of the model file."""
    threads: int = 1
    deadline_s: float = 0.05
    """From capture to result; a later result is sent as `late`."""


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
        model = read_model(self.config.model, folder=self.context.manifest_dir, sha256=self.config.sha256)
        self._session: Session = OrtCpuSession(model.content, threads=self.config.threads)
        self._model = model.short_hash
        self._x_m, crop = _contract(self._session, self.config.model)
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
        return violation_or_none(outputs, RANGES) or implausible_or_none(outputs)

    def _publish(self, frame_id: int, start_ns: int, end_ns: int, dropped: int, problem: str | None) -> None:
        late = end_ns - self.frame.origin_ns > ns(self.config.deadline_s)
        status = "invalid" if problem else "late" if late else "ok"
        view = RoadView(
            status=status,
            frame_id=frame_id,
            model=self._model,
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


def _contract(session: Session, name: str) -> tuple[tuple[float, ...], Crop]:
    """Stations and crop from the model's metadata, once tensors and metadata have been checked against each other."""
    try:
        x_m = tuple(float(x) for x in json.loads(session.metadata["x_m"]))
        crop = msgspec.json.decode(session.metadata["crop"], type=Crop)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(
            f'model "{name}" does not say its stations and crop: {error}',
            hint="train it with examples/road_net/train.py, which writes them into the model",
        ) from error
    missing = [tensor for tensor in TENSORS if tensor not in session.outputs]
    image = session.inputs.get("image")
    wanted = (1, crop.height // crop.block, crop.width // crop.block, 3)
    if missing or image is None or image.shape != wanted or session.outputs["left_y"].shape[1] != len(x_m):
        found = ", ".join(f"{key} {describe(array)}" for key, array in (session.inputs | session.outputs).items())
        raise ConfigError(
            f'model "{name}" is no road network: it has {found}',
            hint=f"expected an input image {wanted} of uint8, and outputs {', '.join(TENSORS)}",
        )
    return x_m, crop
