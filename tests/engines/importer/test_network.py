from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cardan.engines.backends.onnxruntime import OnnxRuntime
from cardan.engines.frames import read_expected_or_none, read_frames
from cardan.engines.importer.network import Imported, ImportRefusedError, ImportWish, import_network
from cardan.runtime.errors import ConfigError

DRAW = np.random.default_rng(3)
KERNEL = DRAW.standard_normal((2, 3, 3, 3), dtype=np.float32)


def network(
    *,
    dtype: int = TensorProto.UINT8,
    nodes: Sequence[onnx.NodeProto] | None = None,
    shape: Sequence[int | str] = (1, 3, 6, 8),
    gain: float = 1.0,
    weights_as_inputs: bool = False,
) -> onnx.ModelProto:
    """Picture -> Cast -> * 1/255 -> Conv -> * gain -> ReduceMean; the front can be replaced."""
    image = helper.make_tensor_value_info("image", dtype, shape)
    front = nodes or (
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "scale"], ["normal"]),
        ]
        if dtype == TensorProto.UINT8
        else [helper.make_node("Identity", ["image"], ["normal"])]
    )
    back = [
        helper.make_node("Conv", ["normal", "kernel"], ["features"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["features", "gain"], ["loud"]),
        helper.make_node("ReduceMean", ["loud"], ["answer"], axes=[2, 3], keepdims=0),
    ]
    weights = [
        numpy_helper.from_array(KERNEL, "kernel"),
        numpy_helper.from_array(np.float32(1 / 255), "scale"),
        numpy_helper.from_array(np.float32(gain), "gain"),
    ]
    inputs = [image]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(one.name, one.data_type, one.dims) for one in weights]
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [shape[0], 2])
    graph = helper.make_graph([*front, *back], "net", inputs, [answer], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def imported(folder: Path, net: onnx.ModelProto | bytes, **wishes: object) -> Imported:
    source = folder / "net.onnx"
    source.write_bytes(net if isinstance(net, bytes) else net.SerializeToString())
    return import_network(
        ImportWish(source=source, name="net", rate_hz=10.0, deadline_ms=80.0, **wishes)  # type: ignore[arg-type]
    )


def refused(folder: Path, net: onnx.ModelProto, **wishes: object) -> str:
    with pytest.raises(ImportRefusedError) as caught:
        imported(folder, net, **wishes)
    return "\n".join(caught.value.reasons)


def answer_of(result: Imported, picture: np.ndarray) -> np.ndarray:
    session = OnnxRuntime().load(result.model, result.content)
    session.inputs["image"][...] = picture
    session.run()
    return np.array(session.outputs["answer"])


def test_a_network_that_keeps_the_contract_stays_as_it_is(tmp_path: Path) -> None:
    net = network()
    result = imported(tmp_path, net)
    assert result.content == net.SerializeToString()
    assert result.notes == []
    assert result.model.inputs["image"].shape == (1, 3, 6, 8)


def test_weights_among_the_inputs_become_constants(tmp_path: Path) -> None:
    result = imported(tmp_path, network(weights_as_inputs=True))
    assert result.notes == ["3 initialisers were graph inputs: they are constants now"]
    assert list(result.model.inputs) == ["image"]


def test_a_float_picture_is_refused_with_the_remedy(tmp_path: Path) -> None:
    assert "--mean, --scale" in refused(tmp_path, network(dtype=TensorProto.FLOAT))


def test_a_float_picture_is_brought_to_uint8_with_its_normalisation_inside(tmp_path: Path) -> None:
    picture = DRAW.integers(0, 256, (1, 6, 8, 3), dtype=np.uint8)
    mean, scale = (120.0, 110.0, 100.0), (1 / 58.0, 1 / 57.0, 1 / 56.0)
    result = imported(tmp_path, network(dtype=TensorProto.FLOAT), mean=mean, scale=scale)
    assert str(result.model.inputs["image"]) == "uint8 (1, 6, 8, 3)"
    normal = (picture.astype(np.float32) - np.array(mean, np.float32)) * np.array(scale, np.float32)
    padded = np.pad(normal[0].transpose(2, 0, 1), ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    wanted = np.einsum("chwij,ocij->ohw", windows, KERNEL).mean(axis=(1, 2))
    assert answer_of(result, picture)[0] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("nodes", "what"),
    [
        (
            [
                helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 1, 2, 3]),
                helper.make_node("Cast", ["turned"], ["float"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["float", "scale"], ["normal"]),
            ],
            "goes into Transpose first, expected Cast",
        ),
        ([helper.make_node("Cast", ["image"], ["normal"], to=TensorProto.FLOAT)], "reaches Conv first as grey levels"),
    ],
)
def test_a_front_that_breaks_the_contract_is_named(tmp_path: Path, nodes: list[onnx.NodeProto], what: str) -> None:
    assert what in refused(tmp_path, network(nodes=nodes))


def test_normalisation_inside_the_weights_is_taken_at_its_word(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["image"], ["normal"], to=TensorProto.FLOAT)]
    assert imported(tmp_path, network(nodes=nodes), folded=True).model.name == "net"


def test_open_shapes_are_refused_and_can_be_fixed(tmp_path: Path) -> None:
    net = network(shape=("batch", 3, 6, 8))
    reasons = refused(tmp_path, net)
    assert 'input "image" is ? x 3 x 6 x 8' in reasons
    assert 'output "answer"' in reasons
    result = imported(tmp_path, net, shapes={"image": (1, 3, 12, 16)})
    assert result.model.inputs["image"].shape == (1, 3, 12, 16)
    assert result.model.outputs["answer"].shape == (1, 2)


def test_a_shape_for_an_unknown_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='no input "picture"'):
        imported(tmp_path, network(), shapes={"picture": (1, 3, 6, 8)})


def test_half_precision_is_refused_where_it_could_not_hold_a_tensor(tmp_path: Path) -> None:
    net = network(gain=1e5)
    assert imported(tmp_path, net).model.accuracy.relative_l2 == 0.001
    reasons = refused(tmp_path, net, half=True)
    assert 'tensor "loud" (Mul) reaches' in reasons
    assert "65504" in reasons


def test_half_precision_is_part_of_the_file_and_close_to_what_it_was(tmp_path: Path) -> None:
    result = imported(tmp_path, network(), half=True)
    kinds = {weight.data_type for weight in onnx.load_from_string(result.content).graph.initializer}
    assert TensorProto.FLOAT16 in kinds
    assert result.model.accuracy.relative_l2 == 0.01
    (tmp_path / "frames.npz").write_bytes(result.frames)
    frames = read_frames(tmp_path / "frames.npz", result.model.inputs)
    expected = read_expected_or_none(tmp_path / "frames.npz")
    assert expected is not None
    assert answer_of(result, frames["image"][0]) == pytest.approx(expected["answer"][0], rel=0.01, abs=1e-3)


def test_a_network_that_is_not_finite_is_refused_in_fp32_already(tmp_path: Path) -> None:
    assert '"loud" (Mul) is not finite' in refused(tmp_path, network(gain=float("inf")))


def test_pictures_become_stored_frames(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for index, grey in enumerate((10, 200)):
        Image.new("RGB", (16, 12), (grey, grey, grey)).save(tmp_path / "pictures" / f"{index}.png")
    result = imported(tmp_path, network(), frames=tmp_path / "pictures")
    (tmp_path / result.model.accuracy.frames).write_bytes(result.frames)
    frames = read_frames(tmp_path / result.model.accuracy.frames, result.model.inputs)
    assert frames["image"].shape == (2, 1, 3, 6, 8)
    assert [int(frame.mean()) for frame in frames["image"]] == [10, 200]


@pytest.mark.parametrize("content", [b"", b"not an ONNX file", bytes(200)])
def test_a_file_that_is_no_network_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigError, match="is no ONNX file") as caught:
        imported(tmp_path, content)
    assert "\n" not in caught.value.message
