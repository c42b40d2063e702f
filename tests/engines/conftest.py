"""Small ONNX networks for tests."""

import json
from collections.abc import Callable

import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("onnxruntime", reason="needs cardan[ort]")

MakeNet = Callable[..., bytes]

CROP = {"left": 0, "top": 0, "width": 8, "height": 8, "block": 2}


def constant_road_net(
    values: dict[str, list[float]] | None = None, *, metadata: dict[str, str] | None = None, stations: int = 2
) -> bytes:
    """A network with the contract of a road network that answers the same whatever it sees."""
    answer = {
        "left_y": [1.75] * stations,
        "right_y": [-1.75] * stations,
        "lane_probability": [0.9],
        "lead_probability": [0.8],
        "lead_gap": [30.0],
        "lead_y": [0.2],
    } | (values or {})
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 4, 4, 3])
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["cast"], ["top"], keepdims=0),
        helper.make_node("Mul", ["top", "zero"], ["nothing"]),
    ]
    initializers = [helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])]
    outputs = []
    for name, numbers in answer.items():
        initializers.append(helper.make_tensor(f"{name}_value", TensorProto.FLOAT, [1, len(numbers)], numbers))
        nodes.append(helper.make_node("Add", [f"{name}_value", "nothing"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, len(numbers)]))
    graph = helper.make_graph(nodes, "road", [image], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    stated = {"x_m": json.dumps([10.0, 20.0][:stations]), "crop": json.dumps(CROP)} if metadata is None else metadata
    helper.set_model_props(model, stated)
    content: bytes = model.SerializeToString()
    onnx.checker.check_model(model)
    return content


@pytest.fixture
def make_road_net() -> MakeNet:
    """Makes networks with the contract of a road network."""
    return constant_road_net
