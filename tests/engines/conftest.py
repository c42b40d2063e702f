"""Small ONNX networks and their model files, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from cardan.engines.model import Model, ModelFile, read_model
from cardan.engines.model_text import model_text
from cardan.engines.tensors import Tensor

pytest.importorskip("onnxruntime", reason="needs cardan[ort]")

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]

CROP = {"left": 0, "top": 0, "width": 8, "height": 8, "block": 2}
LIMITS = {"left_y": (-60.0, 60.0), "right_y": (-60.0, 60.0), "lead_gap": (0.0, 500.0), "lead_y": (-60.0, 60.0)}
PROBABILITY = (0.0, 1.0)
ANSWER = {
    "left_y": [1.75] * 2,
    "right_y": [-1.75] * 2,
    "lane_probability": [0.9],
    "lead_probability": [0.8],
    "lead_gap": [30.0],
    "lead_y": [0.2],
}


def constant_road_net(values: dict[str, list[float]] | None = None) -> bytes:
    """A network with the contract of a road network that answers the same whatever it sees."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 4, 4, 3])
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["cast"], ["top"], keepdims=0),
        helper.make_node("Mul", ["top", "zero"], ["nothing"]),
    ]
    initializers = [helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])]
    outputs = []
    for name, numbers in (ANSWER | (values or {})).items():
        initializers.append(helper.make_tensor(f"{name}_value", TensorProto.FLOAT, [1, len(numbers)], numbers))
        nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, len(numbers)]))
    graph = helper.make_graph(nodes, "road", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    onnx.checker.check_model(model)
    return content


def road_model(content: bytes, **changes: object) -> Model:
    """What the file of such a network says."""
    network = onnx.load_from_string(content)
    outputs = {}
    for value in network.graph.output:
        shape = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        low, high = LIMITS.get(value.name, PROBABILITY)
        outputs[value.name] = Tensor(dtype="float32", shape=shape, minimum=low, maximum=high)
    model = Model(
        name="net",
        file="net.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        rate_hz=20.0,
        deadline_ms=50.0,
        inputs={"image": Tensor(dtype="uint8", shape=(1, 4, 4, 3), layout="NHWC")},
        outputs=outputs,
        meta={"x_m": [10.0, 20.0], "crop": CROP},
    )
    return msgspec.structs.replace(model, **changes)


def write_road_model(folder: Path, content: bytes, **changes: object) -> ModelFile:
    """`net.onnx` and `net.toml` in `folder`. changes: fields of the model."""
    model = road_model(content, **changes)
    (folder / model.file).write_bytes(content)
    (folder / f"{model.name}.toml").write_text(model_text(model))
    return read_model(f"{model.name}.toml", folder=folder)


@pytest.fixture
def make_road_net() -> MakeNet:
    """Makes networks with the contract of a road network."""
    return constant_road_net


@pytest.fixture
def write_model() -> WriteModel:
    """Writes a network and its model file."""
    return write_road_model
