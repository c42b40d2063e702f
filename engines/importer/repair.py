"""What can be put right in an ONNX graph without changing what it computes, and its input brought to uint8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cardan.runtime.errors import ConfigError

OLDEST_IR = 4
"""Before ONNX IR 4 each initialiser had to be a graph input as well; backends then treat weights as variable."""
PICTURE_RANK = 4
PREFIX = "cardan_"
"""Of the names of what is added; no exporter uses it."""


def free_initialisers(network: onnx.ModelProto) -> int:
    """Take initialisers out of the graph's inputs; how many there were."""
    graph = network.graph
    weights = {initialiser.name for initialiser in graph.initializer}
    kept = [value for value in graph.input if value.name not in weights]
    freed = len(graph.input) - len(kept)
    if freed:
        del graph.input[:]
        graph.input.extend(kept)
        network.ir_version = max(network.ir_version, OLDEST_IR)
    return freed


def fix_shapes(network: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give inputs the fixed `shapes`, and let every other shape follow from them.

    ConfigError when an input is unknown, or an output stays open.
    """
    inputs = {value.name: value for value in network.graph.input}
    for name, shape in shapes.items():
        if name not in inputs:
            raise ConfigError(f'no input "{name}" to give a shape', hint=f"inputs are {', '.join(inputs)}")
        _set_shape(inputs[name], shape)
    if shapes:
        for value in network.graph.output:
            value.type.tensor_type.ClearField("shape")
        del network.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(network, strict_mode=True, data_prop=True)
    network.CopyFrom(inferred)


def _set_shape(value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    dimensions = value.type.tensor_type.shape.dim
    if value.type.tensor_type.HasField("shape") and len(dimensions) != len(shape):
        raise ConfigError(
            f'input "{value.name}" has {len(dimensions)} dimensions, the given shape {len(shape)}',
            hint=f"give {len(dimensions)} sizes",
        )
    value.type.tensor_type.shape.CopyFrom(
        onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=size) for size in shape])
    )


def take_uint8(network: onnx.ModelProto, name: str, mean: Sequence[float], scale: Sequence[float]) -> None:
    """Let the float picture input `name` (NCHW) come as uint8 NHWC: Cast first, then Transpose, (x - mean) * scale.

    mean, scale: one number, or one for each channel.
    """
    graph = network.graph
    value = next(value for value in graph.input if value.name == name)
    batch, channels, height, width = shape_of(value)
    for numbers, what in ((mean, "mean"), (scale, "scale")):
        if len(numbers) not in (1, channels):
            raise ConfigError(f"{what} has {len(numbers)} numbers, the picture {channels} channels")
    float_type = value.type.tensor_type.elem_type
    normal = f"{PREFIX}normal_{name}"
    for node in graph.node:
        node.input[:] = [normal if source == name else source for source in node.input]
    parts = {key: f"{PREFIX}{key}_{name}" for key in ("cast", "planes", "centred", "mean", "scale")}
    added = [
        helper.make_node("Cast", [name], [parts["cast"]], to=float_type),
        helper.make_node("Transpose", [parts["cast"]], [parts["planes"]], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", [parts["planes"], parts["mean"]], [parts["centred"]]),
        helper.make_node("Mul", [parts["centred"], parts["scale"]], [normal]),
    ]
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for key, numbers in (("mean", mean), ("scale", scale)):
        array = np.asarray(numbers, helper.tensor_dtype_to_np_dtype(float_type)).reshape(1, -1, 1, 1)
        graph.initializer.append(numpy_helper.from_array(array, parts[key]))
    value.type.tensor_type.elem_type = TensorProto.UINT8
    _set_shape(value, (batch, height, width, channels))


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The shape of an input or output; 0 for a size that is open."""
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
