from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cardan.engines.backends.backend import BackendError, Session
from cardan.engines.backends.onnxruntime import OnnxRuntime
from cardan.engines.model import ModelFile, read_model
from cardan.engines.tensors import Tensor
from cardan.engines.weights import read_weights

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]


def road_session() -> Session:
    file = read_model("road_net", folder=Path())
    return OnnxRuntime().load(file.model, read_weights(file))


def test_a_run_fills_the_bound_outputs_in_place(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    content = make_road_net()
    session = OnnxRuntime().load(write_model(tmp_path, content).model, content)
    before = session.outputs["lead_gap"]
    session.run()
    assert before[0, 0] == 30.0
    assert session.outputs["lead_gap"] is before
    session.close()
    session.close()


def test_memory_that_is_bound_is_read_where_it_lies() -> None:
    session = road_session()
    picture = np.random.default_rng(1).integers(0, 256, (1, 96, 192, 3), dtype=np.uint8)
    session.inputs["image"][...] = picture
    session.run()
    answer = session.outputs["left_y"].copy()
    session.inputs["image"][...] = 0
    session.bind("image", picture)
    session.run()
    assert np.array_equal(session.outputs["left_y"], answer)
    picture[...] = 0
    session.start()
    session.finish()
    assert not np.array_equal(session.outputs["left_y"], answer)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("image", np.zeros((1, 96, 192, 3), np.float32)),
        ("image", np.zeros((96, 192, 3), np.uint8)),
        ("image", np.zeros((1, 96, 192, 6), np.uint8)[..., ::2]),
        ("picture", np.zeros((1, 96, 192, 3), np.uint8)),
    ],
)
def test_memory_that_does_not_fit_is_refused(name: str, array: np.ndarray) -> None:
    with pytest.raises(BackendError, match="cannot be bound"):
        road_session().bind(name, array)


def test_bytes_that_are_no_model_are_refused_in_one_line(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    model = write_model(tmp_path, make_road_net()).model
    with pytest.raises(BackendError, match="cannot load the model") as caught:
        OnnxRuntime().load(model, b"not a model")
    assert "\n" not in caught.value.message


def test_a_network_with_other_tensors_than_its_model_says_is_refused(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    content = make_road_net()
    wrong = {"image": Tensor(dtype="uint8", shape=(1, 4, 8, 3))}
    with pytest.raises(BackendError, match=r'input "image" is uint8 \(1, 4, 4, 3\) .* \(1, 4, 8, 3\)'):
        OnnxRuntime().load(write_model(tmp_path, content, inputs=wrong).model, content)


def test_a_model_with_open_shapes_is_refused(tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "open", [value], [out])
    network: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = write_model(tmp_path, make_road_net()).model
    with pytest.raises(BackendError, match="fixed sizes"):
        OnnxRuntime().load(model, network.SerializeToString())


def test_the_version_is_that_of_the_library() -> None:
    assert OnnxRuntime().version().count(".") >= 2
