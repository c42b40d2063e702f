"""Would this network survive half precision? The largest number that each of its tensors takes on sample frames.

FP16 ends at 65504. Networks that pass it (norms that square, logits of wide layers) answer infinity or NaN, often for
some pictures only, so every tensor is looked at, in FP32, with no operators fused.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import onnx

from cardan.engines.backends.onnxruntime import plain_session
from cardan.engines.frames import Frames, each

FP16_LARGEST = 65504.0
MARGIN = 4.0
"""Sample frames do not show the largest value that the road will bring."""


class Peak(NamedTuple):
    """The largest magnitude of one tensor; infinite or NaN where it was so already in FP32."""

    tensor: str
    operator: str
    value: float

    @property
    def fits_fp16(self) -> bool:
        """True while half precision could hold four times as much."""
        return math.isfinite(self.value) and self.value * MARGIN <= FP16_LARGEST


def peaks(network: onnx.ModelProto, frames: Frames) -> list[Peak]:
    """The peak of every float tensor, the largest first. NaN counts as larger than anything."""
    shown, operators = _with_all_outputs(network)
    session = plain_session(shown.SerializeToString())
    largest = dict.fromkeys(operators, 0.0)
    for frame in each(frames):
        for name, array in zip(operators, session.run(list(operators), frame), strict=True):
            if array.size and array.dtype.kind == "f":
                largest[name] = _larger(largest[name], float(np.abs(array).max()))
    found = [Peak(name, operators[name], value) for name, value in largest.items()]
    return sorted(found, key=lambda peak: math.inf if math.isnan(peak.value) else peak.value, reverse=True)


def _larger(one: float, other: float) -> float:
    return math.nan if math.isnan(one) or math.isnan(other) else max(one, other)


def _with_all_outputs(network: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A copy that gives out every tensor whose type is known, and the operator that makes each."""
    shown = onnx.ModelProto()
    shown.CopyFrom(onnx.shape_inference.infer_shapes(network))
    known = {value.name: value for value in (*shown.graph.value_info, *shown.graph.output)}
    operators = {name: node.op_type for node in shown.graph.node for name in node.output if name in known}
    outputs = [known[name] for name in operators]
    del shown.graph.output[:]
    shown.graph.output.extend(outputs)
    return shown, operators
