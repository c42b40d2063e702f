"""The contract of a network: fixed shapes, pictures as uint8 with a Cast first, normalisation inside.

Each rule was paid for in the field: a float picture is a copy of four times the size for each frame; TensorRT refuses a
uint8 input whose first operator is no Cast; means and scales that live in a program beside the network drift apart from
it; an open shape is compiled anew in the vehicle whenever a new size comes.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from cardan.engines.importer.repair import PICTURE_RANK, shape_of

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
SHAPING = frozenset({"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Slice", "Split", "Concat", "Pad"})
"""Operators that move numbers without changing them."""
ARITHMETIC = frozenset({"Mul", "Div", "Sub", "Add", "BatchNormalization", "InstanceNormalization", "Clip"})
TYPES = {
    TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT16,
    TensorProto.FLOAT, TensorProto.BOOL,
}  # fmt: skip


def problems(network: onnx.ModelProto, *, folded: bool = False) -> list[str]:
    """Why the network cannot be used as it is, each with what to do; empty when it can.

    folded: its author says that the normalisation is part of the first layer's weights.
    """
    found = [problem for value in network.graph.input for problem in _input_problems(network.graph, value, folded)]
    for value in network.graph.output:
        found += _shape_problems(value, "output")
    return found


def _input_problems(graph: onnx.GraphProto, value: onnx.ValueInfoProto, folded: bool) -> Iterator[str]:
    yield from _shape_problems(value, "input")
    if len(value.type.tensor_type.shape.dim) < PICTURE_RANK:
        return
    kind = value.type.tensor_type.elem_type
    if kind in FLOATS:
        yield (
            f'input "{value.name}" is a picture in floating point, expected uint8: '
            "give its normalisation (--mean, --scale), and it is put inside"
        )
        return
    if kind != TensorProto.UINT8:
        yield f'input "{value.name}" is {TensorProto.DataType.Name(kind)}, expected uint8: export it again'
        return
    first = [node for node in graph.node if value.name in node.input]
    wrong = sorted({node.op_type for node in first if node.op_type != "Cast"})
    if wrong:
        yield f'input "{value.name}" goes into {", ".join(wrong)} first, expected Cast: move the Cast to the front'
    elif not folded and (bare := _unnormalised(graph, value.name)):
        yield (
            f'input "{value.name}" reaches {bare} as grey levels 0..255: nothing normalises it; '
            "put its scale into the graph, or say --folded if the weights contain it"
        )


def _shape_problems(value: onnx.ValueInfoProto, kind: str) -> Iterator[str]:
    if value.type.tensor_type.elem_type not in TYPES:
        name = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        yield f'{kind} "{value.name}" is {name}: export it as another type'
    shape = shape_of(value)
    if not value.type.tensor_type.HasField("shape") or not all(shape):
        sizes = " x ".join(str(size) if size else "?" for size in shape) or "of no known shape"
        yield f'{kind} "{value.name}" is {sizes}, expected fixed sizes: --shape NAME=1x3x96x192'


def _unnormalised(graph: onnx.GraphProto, name: str) -> str | None:
    """The first operator that gets raw grey levels and is no arithmetic, or None."""
    waiting = [output for node in graph.node if name in node.input for output in node.output]
    seen: set[str] = set()
    while waiting:
        tensor = waiting.pop()
        for node in graph.node:
            if tensor not in node.input or node.op_type in ARITHMETIC:
                continue
            if node.op_type not in SHAPING and node.op_type != "Cast":
                return f"{node.op_type} {node.name}".strip()
            waiting += [output for output in node.output if output not in seen]
            seen.update(node.output)
    return None
