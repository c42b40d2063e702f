from collections.abc import Callable

import onnx
import pytest
from onnx import TensorProto, helper

from cardan.engines.backends.ort_cpu import OrtCpuSession
from cardan.runtime.errors import DeviceError


def test_a_run_fills_the_bound_outputs_in_place(make_road_net: Callable[..., bytes]) -> None:
    session = OrtCpuSession(make_road_net())
    before = session.outputs["lead_gap"]
    session.run()
    assert before[0, 0] == 30.0
    assert session.outputs["lead_gap"] is before
    session.close()


def test_bytes_that_are_no_model_are_refused_in_one_line() -> None:
    with pytest.raises(DeviceError, match="cannot load the model") as caught:
        OrtCpuSession(b"not a model")
    assert "\n" not in caught.value.message


def test_a_model_with_open_shapes_is_refused() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "open", [value], [out])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(DeviceError, match="fixed sizes"):
        OrtCpuSession(model.SerializeToString())
